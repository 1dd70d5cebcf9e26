// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "platform/linux/sysfs.hpp"
#include "platform/remote/handover.hpp"

namespace platform {

/// Opens what the worker uses by itself: /dev/xen/evtchn bound to one port, /dev/xen/gntdev with one reference, a
/// function's `config` file. The libraries for the first two hide their descriptors, so these are the kernel's calls.
class real_handover final : public remote::handover {
public:
  /// `files`: where /sys is; it outlives this.
  explicit real_handover(const linux_host::sysfs& files) : files_(files) {}
  [[nodiscard]] pci::result<remote::handed> channel(domain_id domain, std::uint32_t remote) override;
  [[nodiscard]] pci::result<remote::handed> page(domain_id domain, std::uint32_t reference) override;
  [[nodiscard]] pci::result<remote::handed> config(const pci::sbdf& address, bool writable) override;

private:
  const linux_host::sysfs& files_;
};

/// Makes of them what the actors use, with no other calls than `read`, `write`, `mmap`, and two of ioctl's: those that
/// notify and unbind a port of the descriptor's own.
class real_takeover final : public remote::takeover {
public:
  [[nodiscard]] pci::result<std::unique_ptr<event_channel>> channel(remote::handed what) override;
  [[nodiscard]] pci::result<std::unique_ptr<mapped_page>> page(remote::handed what) override;
  [[nodiscard]] pci::result<std::unique_ptr<pci::config_port>> config(remote::handed what,
                                                                      const std::string& name) override;
};

} // namespace platform
