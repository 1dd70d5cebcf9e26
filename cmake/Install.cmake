# SPDX-License-Identifier: GPL-2.0-or-later
# pcibackd_install_configured(TEMPLATE DESTINATION NAME [PROGRAM]): installs TEMPLATE as NAME, in it @SBINDIR@ and @LIBEXECDIR@
# as they are under the prefix of the installation, which `cmake --install --prefix` may change after the build.
# DESTINATION is relative to the prefix, or absolute.
function(pcibackd_install_configured template destination name)
  set(permissions OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  if("PROGRAM" IN_LIST ARGN)
    list(APPEND permissions OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
  endif()
  cmake_path(ABSOLUTE_PATH template BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  cmake_path(IS_ABSOLUTE destination is_absolute)
  if(NOT is_absolute)
    set(destination "\${CMAKE_INSTALL_PREFIX}/${destination}")
  endif()
  install(CODE "
    foreach(folder SBINDIR LIBEXECDIR)
      set(relative_SBINDIR \"${CMAKE_INSTALL_SBINDIR}\")
      set(relative_LIBEXECDIR \"${CMAKE_INSTALL_LIBEXECDIR}\")
      cmake_path(ABSOLUTE_PATH relative_\${folder} BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\" NORMALIZE OUTPUT_VARIABLE \${folder})
    endforeach()
    configure_file(\"${template}\" \"${CMAKE_CURRENT_BINARY_DIR}/installed/${name}\" @ONLY)
    file(INSTALL \"${CMAKE_CURRENT_BINARY_DIR}/installed/${name}\" DESTINATION \"${destination}\"
         PERMISSIONS ${permissions})")
endfunction()
