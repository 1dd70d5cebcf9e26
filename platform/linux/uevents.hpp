// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "pci/address.hpp"
#include "platform/descriptor.hpp"

namespace platform::linux_host {

/// A PCI function that came, went, got or lost its driver, or an end of the kernel's recovery from an error. The kernel
/// names the bridge above the function that had the error, unless a driver with handlers has it.
struct uevent {
  enum class action : std::uint8_t { add, remove, bind, unbind, recovery_ended };
  action what = action::add;
  pci::sbdf address;
  friend bool operator==(const uevent&, const uevent&) = default;
};

/// Reads a packet of the kernel: "ACTION@DEVPATH" and KEY=VALUE strings, each ended by a NUL. Empty: of something else
/// than such a PCI function, or malformed.
[[nodiscard]] std::optional<uevent> parse_uevent(std::string_view packet);

/// The kernel's announcements of devices (NETLINK_KOBJECT_UEVENT).
class uevents {
public:
  [[nodiscard]] static pci::result<std::unique_ptr<uevents>> open();

  /// Readable while announcements wait.
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  /// Hands what waits and concerns PCI functions to `deliver`, without blocking. False: the kernel had no room for all
  /// of them (ENOBUFS), so that some are lost.
  [[nodiscard]] bool drain(const std::function<void(const uevent& event)>& deliver);

private:
  explicit uevents(platform::descriptor socket) : socket_(std::move(socket)) {}

  platform::descriptor socket_;
};

} // namespace platform::linux_host
