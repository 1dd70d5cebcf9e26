// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/failure_kind.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace pci {

std::string_view to_string(failure_kind kind) {
  switch (kind) {
  case failure_kind::failed:
    return "failed";
  case failure_kind::usage:
    return "usage";
  case failure_kind::no_daemon:
    return "no-daemon";
  case failure_kind::refused:
    return "refused";
  case failure_kind::busy:
    return "busy";
  case failure_kind::absent:
    return "absent";
  case failure_kind::timed_out:
    return "timed-out";
  }
  return "failed";
}

failure_kind kind_of(int error) {
  switch (error) {
  case EPERM:
  case EACCES:
  case EINVAL:
  case ENOSYS:
  case EOPNOTSUPP:
  case ERANGE:
  case ENOSPC:
    return failure_kind::refused;
  case EBUSY:
  case EAGAIN:
  case EEXIST:
    return failure_kind::busy;
  case ENODEV:
  case ENOENT:
  case ESRCH:
    return failure_kind::absent;
  case ETIMEDOUT:
    return failure_kind::timed_out;
  default:
    return failure_kind::failed;
  }
}

std::string errno_name(int error) {
  const auto* name = ::strerrorname_np(error);
  return name != nullptr && error != 0 ? std::string{name} : fmt::format("E{}", error);
}

} // namespace pci
