// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "platform/host.hpp"
#include "platform/linux/clock.hpp"
#include "platform/linux/error_trace.hpp"
#include "platform/linux/function_inventory.hpp"
#include "platform/linux/guard_client.hpp"
#include "platform/linux/line_interrupts.hpp"
#include "platform/linux/pci_host.hpp"
#include "platform/linux/sleep_watch.hpp"
#include "platform/linux/sysfs.hpp"
#include "platform/linux/uevents.hpp"
#include "platform/real/event_loop.hpp"
#include "platform/xen/event_channels.hpp"
#include "platform/xen/grants.hpp"
#include "platform/xen/hypervisor.hpp"
#include "platform/xen/store.hpp"

namespace platform {

/// The host that the daemon runs on: dom0 of a Xen host, with a Linux kernel. The process ignores SIGPIPE and blocks
/// the signals that it waits for before `open`: the threads that are made here inherit that.
class real_host final : public host {
public:
  /// Why the daemon cannot serve on this host: one line each, which says how to mend it. Empty: it can.
  [[nodiscard]] static std::vector<std::string> obstacles();
  /// ENOTSUP, with the obstacles, when there are any.
  [[nodiscard]] static pci::result<std::unique_ptr<real_host>>
  open(std::chrono::milliseconds heartbeat = std::chrono::seconds(10));
  ~real_host() override { stop(); }

  /// What works less well here than it might: one line each.
  [[nodiscard]] std::vector<std::string> warnings() const;

  /// Where /sys is; it lives as long as this.
  [[nodiscard]] const linux_host::sysfs& files() const { return *parts_.files; }

  [[nodiscard]] store& xenstore() override { return *parts_.xenstore; }
  [[nodiscard]] event_channels& channels() override { return *parts_.channels; }
  [[nodiscard]] platform::grants& grant_table() override { return *parts_.grants; }
  [[nodiscard]] hypervisor& xen() override { return *parts_.hypervisor; }
  [[nodiscard]] pci_host& pci() override { return pci_; }
  [[nodiscard]] line_interrupts& lines() override { return *parts_.lines; }
  [[nodiscard]] removal_guards& guards() override { return *parts_.guards; }
  [[nodiscard]] const clock& time() const override { return clock_; }

  [[nodiscard]] pci::result<void> start(event_sink& sink) override;
  void stop() override {
    parts_.guards->listen({});
    loop_.reset();
  }

private:
  /// What has to be opened.
  struct parts {
    std::unique_ptr<linux_host::sysfs> files;
    std::unique_ptr<linux_host::guard_client> guards;
    std::unique_ptr<xen::store> xenstore;
    std::unique_ptr<xen::event_channels> channels;
    std::unique_ptr<xen::grants> grants;
    std::unique_ptr<xen::hypervisor> hypervisor;
    std::unique_ptr<linux_host::line_interrupts> lines;
    std::unique_ptr<linux_host::uevents> uevents;
    std::unique_ptr<linux_host::function_inventory> inventory;
    std::unique_ptr<linux_host::sleep_watch> sleeps;
    std::unique_ptr<linux_host::error_trace> errors; ///< null: the kernel does not tell; `no_errors` says why
    std::string no_errors;
  };
  real_host(parts opened, std::chrono::milliseconds heartbeat)
      : parts_(std::move(opened)), pci_(*parts_.files), heartbeat_(heartbeat) {}
  [[nodiscard]] static pci::result<parts> open_parts();

  parts parts_;
  linux_host::pci_host pci_;
  linux_host::clock clock_;
  std::chrono::milliseconds heartbeat_;
  std::unique_ptr<event_loop> loop_; ///< while started
};

} // namespace platform
