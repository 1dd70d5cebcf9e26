// SPDX-License-Identifier: GPL-2.0-or-later
// What a held function's hardware needs when it goes from dom0, or seems to.
#include <cerrno>

#include <fmt/format.h>

#include "actors/device/hardware.hpp"
#include "pci/config_space/registers.hpp"

namespace actors {

// That it could not be armed is seen in its state.
void hardware::arm_guard() { static_cast<void>(host_.guards().arm(description_.address)); }

// Not while Xen has vectors of the function: its removal has to wait for their end.
void hardware::disarm_guard() {
  if (!leaving_ && interrupts_.vectors().empty()) {
    host_.guards().release(description_.address);
  }
}

pci::result<void> hardware::let_removal_go() {
  if (!interrupts_.vectors().empty()) {
    static_cast<void>(end_messages());
  }
  if (const auto left = interrupts_.vectors().size(); left != 0) {
    return pci::fail(EBUSY, fmt::format("{} of its pirqs cannot be unmapped", left));
  }
  // Last: Xen would warn if the function came back prepared. It is not prepared any more, perhaps.
  if (msix_) {
    static_cast<void>(host_.xen().release_msix(*msix_));
  }
  host_.guards().release(description_.address);
  return {};
}

pci::result<void> hardware::end_inherited(const environment& all, const function_record& what) {
  auto& host = all.host;
  const auto& address = what.function.address;
  for (const auto& vector : what.domain ? what.vectors : std::vector<pci::bound_vector>{}) {
    const auto unmapped = host.xen().unmap_pirq(*what.domain, vector.pirq);
    if (!unmapped && unmapped.error().error != ESRCH && unmapped.error().error != EINVAL) {
      return unmapped;
    }
  }
  if (const auto msix = platform::msix_function::seen_in(what.function)) {
    // Xen protects the table no longer then, and the guest may run on.
    for (const auto& guest : {what.domain, what.target}) {
      if (guest) {
        static_cast<void>(permit_table(host.xen(), what.function, *guest, false));
      }
    }
    static_cast<void>(host.xen().release_msix(*msix));
  }
  host.guards().release(address);
  return {};
}

pci::result<bool> hardware::hold_again() {
  const std::lock_guard lock(binding_mutex_);
  const auto driver = host_.pci().driver(description_.address);
  if (!driver) {
    return tl::unexpected(driver.error());
  }
  if (platform::is_holder(*driver)) {
    return false;
  }
  if (!driver->empty()) {
    return pci::fail(EBUSY, fmt::format("{} has bound itself to {}", *driver, pci::to_string(description_.address)));
  }
  return host_.pci().hold(description_.address, holder_, false).map([] { return true; });
}

} // namespace actors
