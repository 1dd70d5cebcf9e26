// SPDX-License-Identifier: GPL-2.0-or-later
// How a function comes back from a reset while its guest runs on.
#include <cerrno>

#include <fmt/format.h>

#include "actors/device/hardware.hpp"
#include "pci/config_space/answered.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"

namespace actors {

// As a guest finds the function that it is given, short of a reset. A guest's driver that is loaded again finds one
// that its last driver left.
pci::result<void> hardware::renew_guest() {
  auto quiet = stop_mastering();
  auto ended = end_messages();
  space_.reset(policy_);
  return quiet ? ended : quiet;
}

bool hardware::was_reset() {
  const auto lost = pci::was_reset(description_, *port_);
  return lost && *lost;
}

pci::result<void> hardware::recover() {
  if (auto restored = restore(); !restored) {
    return restored;
  }
  auto messages = recover_messages();
  // Bus mastering last: the function sends nothing before its vectors are right.
  return messages ? space_.renew_command(*port_) : messages;
}

// No register of a virtual function tells whether it was reset.
pci::result<void> hardware::resume() {
  if (description_.is_virtual() || was_reset()) {
    return recover();
  }
  if (interrupts_.mode() == pci::interrupt_mode::intx) {
    return {};
  }
  auto messages = recover_messages();
  return messages ? space_.renew_command(*port_) : messages;
}

// With messages on, INTx goes off first, as when they were enabled.
pci::result<void> hardware::recover_messages() {
  if (interrupts_.mode() == pci::interrupt_mode::intx) {
    // The guest's driver may have given its vectors back while decoding was off: Xen then keeps the function masked.
    return interrupts_.vectors().empty() ? renew_messages() : pci::result<void>{};
  }
  if (auto off = pci::update_control(*port_, pci::reg::command, 0, pci::reg::command_intx_disable); !off) {
    return tl::unexpected(off.error());
  }
  auto& decoder = physical_port_ ? *physical_port_ : *port_;
  const auto restorable = platform::restorable_function::look(description_, *port_, decoder);
  if (!restorable) {
    return tl::unexpected(restorable.error());
  }
  return *restorable ? host_.xen().restore_msi(**restorable) : pci::result<void>{};
}

// A guest that unbinds its vectors while the bus is being reset makes Xen write a mask that it cannot reach; Xen then
// masks the whole function, until it is prepared anew without vectors.
void hardware::cure_messages(pci::pirq_port& pirqs) {
  const auto capability = msix_ ? pci::find_capability(description_, pci::reg::cap_msix) : std::nullopt;
  if (!capability) {
    return;
  }
  const auto control = port_->read(static_cast<std::uint16_t>(*capability + pci::reg::message_control), 2);
  if (control && *control != 0xffff && (*control & pci::reg::msix_mask_all) != 0) {
    static_cast<void>(interrupts_.end(*port_, pirqs, false));
    static_cast<void>(renew_messages());
  }
}

} // namespace actors
