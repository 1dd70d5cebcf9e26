// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>

#include "pci/protocol/operations.hpp"
#include "pci/result.hpp"

namespace pci {

/// The number that a guest is given for a failure of the platform: dev_not_found for a function that is gone, op_failed
/// for all else. The kernel's backend lets errno values through, of which 1 to 5 mean other things on the wire.
[[nodiscard]] inline op_error wire_error(const failure& what) {
  return what.error == ENODEV ? op_error::dev_not_found : op_error::op_failed;
}

[[nodiscard]] inline op_error wire_error(const result<void>& outcome) {
  return outcome ? op_error::success : wire_error(outcome.error());
}

} // namespace pci
