// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>

#include "pci/protocol/xenstore_paths.hpp"
#include "pci/result.hpp"

namespace actors {

using pci::largest_domain;

/// What dom0 would be given it has already, and what would be taken from it again is its own.
[[nodiscard]] inline pci::failure dom0_is_no_guest() {
  return {EINVAL, "domain 0 is dom0 itself, which has its functions without; name a guest, as `xl list` shows it"};
}

} // namespace actors
