# SPDX-License-Identifier: GPL-2.0-or-later
# pcibackd_layer(NAME FOLDER [PLAIN] SOURCES... DEPENDS...): one library a folder.
# A layer sees the headers of the layers that it links and of no other: each folder's headers are reached through an
# include directory of its own, so an #include that the design's table forbids does not compile (tests/layers tries).
# PLAIN: the folder's own headers alone; its subfolders are layers of their own.
function(pcibackd_layer name folder)
  cmake_parse_arguments(layer "PLAIN" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  set(view ${CMAKE_BINARY_DIR}/layers/${name})
  cmake_path(GET folder PARENT_PATH parent)
  if(layer_PLAIN)
    file(REMOVE_RECURSE ${view})
    file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.hpp)
    file(MAKE_DIRECTORY ${view}/${folder})
    foreach(header ${headers})
      cmake_path(GET header FILENAME file)
      file(CREATE_LINK ${header} ${view}/${folder}/${file} SYMBOLIC)
    endforeach()
  elseif(NOT EXISTS ${view}/${folder})
    file(MAKE_DIRECTORY ${view}/${parent})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${view}/${folder} SYMBOLIC)
  endif()
  add_library(pcibackd_${name} STATIC ${layer_SOURCES})
  add_library(pcibackd::${name} ALIAS pcibackd_${name})
  target_include_directories(pcibackd_${name} PUBLIC ${view})
  target_link_libraries(pcibackd_${name} PUBLIC ${layer_DEPENDS} PRIVATE ${layer_PRIVATE_DEPENDS} pcibackd_options)
endfunction()

# What every target of the project is compiled with.
add_library(pcibackd_options INTERFACE)
target_compile_options(pcibackd_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion)
if(PCIBACKD_SANITIZE)
  add_compile_options(-fsanitize=${PCIBACKD_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PCIBACKD_SANITIZE})
  if(PCIBACKD_SANITIZE MATCHES "undefined")
    # CAF 0.17 binds a reference to a null shared_ptr when an actor is spawned without arguments.
    add_compile_options(-fno-sanitize=null -fno-sanitize-recover=undefined)
  endif()
endif()
if(PCIBACKD_COVERAGE)
  add_compile_options(--coverage -O0)
  add_link_options(--coverage)
endif()
if(PCIBACKD_FUZZ)
  # The libraries too: what is not instrumented does not guide the fuzzer.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
