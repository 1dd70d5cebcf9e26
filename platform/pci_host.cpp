// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/pci_host.hpp"

namespace platform {

std::string_view driver_name(holder how) { return how == holder::uio ? "uio_pci_generic" : "pci-stub"; }

bool is_holder(std::string_view driver) {
  return driver == driver_name(holder::stub) || driver == driver_name(holder::uio);
}

} // namespace platform
