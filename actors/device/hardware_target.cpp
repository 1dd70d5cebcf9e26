// SPDX-License-Identifier: GPL-2.0-or-later
// A function that an HVM guest's device model uses, in dom0 or in a stub domain: it maps the vectors itself, so that
// nobody here knows their numbers, and a toolstack may take the function's nodes away while they are mapped.
#include <cerrno>

#include <fmt/format.h>

#include "actors/device/hardware.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"

namespace actors {
namespace {

pci::result<bool> is_on(const pci::function& function, pci::config_port& port, std::uint8_t capability,
                        std::uint32_t enable) {
  const auto at = pci::find_capability(function, capability);
  if (!at) {
    return false;
  }
  return port.read(static_cast<std::uint16_t>(*at + pci::reg::message_control), 2).map([enable](std::uint32_t control) {
    return control != 0xffff && (control & enable) != 0;
  });
}

} // namespace

// Xen tells nobody which pirqs belong to a function. But when it is asked to write a function's vectors into it again,
// it sets the enable bit if there are any, and does nothing otherwise. Bus mastering is off: nothing is sent meanwhile.
pci::result<bool> hardware::has_vectors_in_xen() {
  auto& decoder = physical_port_ ? *physical_port_ : *port_;
  const auto asked = platform::restorable_function::look(description_, *port_, decoder);
  if (!asked) {
    // The hardware is gone, and with it what it could send; or its physical function hides the table: nobody can tell.
    return asked.error().error != ENODEV;
  }
  if (!*asked) {
    return false;
  }
  if (auto off = pci::turn_messages_off(description_, *port_); !off) {
    return tl::unexpected(off.error());
  }
  if (const auto written = host_.xen().restore_msi(**asked); !written && written.error().error != ENODEV) {
    return tl::unexpected(written.error());
  }
  const auto msi = is_on(description_, *port_, pci::reg::cap_msi, pci::reg::msi_enable);
  const auto msix = is_on(description_, *port_, pci::reg::cap_msix, pci::reg::msix_enable);
  if (!msi || !msix) {
    return msi ? msix : msi;
  }
  const auto off = pci::turn_messages_off(description_, *port_);
  return off.map([any = *msi || *msix] { return any; });
}

// A domain that dies still has its pirqs, and Xen touches the function when it frees them. One that lives has those
// that its device model has not unmapped.
pci::result<void> hardware::await_pirqs() {
  if (!target_) {
    return {};
  }
  const auto info = host_.xen().domain(*target_);
  if (info && info->dying) {
    return pci::fail(EAGAIN, fmt::format("domain {} is ending", *target_));
  }
  const auto any = info ? has_vectors_in_xen() : pci::result<bool>(false);
  if (!any) { // a reset under vectors that cannot be seen is no better than one under those that can
    return pci::fail(EAGAIN, fmt::format("cannot tell whether the device model of domain {} has vectors of it: {}",
                                         *target_, pci::to_string(any.error())));
  }
  if (*any) {
    return pci::fail(EAGAIN, fmt::format("the device model of domain {} still has vectors of it", *target_));
  }
  return {};
}

} // namespace actors
