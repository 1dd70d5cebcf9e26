// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/real/host.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "platform/linux/environment.hpp"
#include "platform/real/deliveries.hpp"

namespace platform {
namespace {

/// Puts what was opened into its place.
template <class T>
pci::result<void> keep(std::unique_ptr<T>& place, pci::result<std::unique_ptr<T>> opened) {
  if (!opened)
    return tl::unexpected(std::move(opened.error()));
  place = std::move(*opened);
  return {};
}

} // namespace

std::vector<std::string> real_host::obstacles() {
  auto found = linux_host::obstacles();
  // Asked through the nodes that were looked for.
  if (found.empty())
    if (auto other = xen::domctl::obstacle())
      found.push_back(std::move(*other));
  return found;
}

pci::result<real_host::parts> real_host::open_parts() {
  parts opened;
  opened.files = std::make_unique<linux_host::sysfs>();
  // First of all that opens something: it may start a process.
  linux_host::guard_client::options keeper;
  keeper.program = linux_host::guard_client::default_program();
  opened.guards = std::make_unique<linux_host::guard_client>(std::move(keeper));
  return keep(opened.xenstore, xen::store::open())
      .and_then([&] { return keep(opened.channels, xen::event_channels::open()); })
      .and_then([&] { return keep(opened.grants, xen::grants::open()); })
      .and_then([&] { return keep(opened.hypervisor, xen::hypervisor::open()); })
      .and_then(
          [&] { return keep(opened.lines, linux_host::line_interrupts::open(*opened.files, opened.guards.get())); })
      .and_then([&] { return keep(opened.uevents, linux_host::uevents::open()); })
      .and_then([&] { return keep(opened.sleeps, linux_host::sleep_watch::open()); })
      .map([&] {
        // Once the kernel's announcements come: none falls between the two.
        opened.inventory = std::make_unique<linux_host::function_inventory>(*opened.files);
        if (auto errors = linux_host::error_trace::open(); errors)
          opened.errors = std::move(*errors);
        else
          opened.no_errors = pci::to_string(errors.error());
        return std::move(opened);
      });
}

pci::result<std::unique_ptr<real_host>> real_host::open(std::chrono::milliseconds heartbeat) {
  if (const auto found = obstacles(); !found.empty())
    return pci::fail(ENOTSUP, fmt::format("{}", fmt::join(found, "; ")));
  return open_parts().map(
      [&](parts&& opened) { return std::unique_ptr<real_host>(new real_host(std::move(opened), heartbeat)); });
}

std::vector<std::string> real_host::warnings() const {
  std::vector<std::string> found;
  const auto iommu = parts_.hypervisor->has_iommu();
  if (!iommu)
    found.push_back(pci::to_string(iommu.error()));
  else if (!*iommu)
    found.emplace_back("Xen drives no IOMMU: functions cannot be assigned to guests. Turn on VT-d or AMD-Vi in the "
                       "firmware, and see iommu= of Xen's command line");
  if (const auto unguarded = parts_.guards->obstacle(); !unguarded.empty())
    found.push_back(fmt::format("a function that is removed from dom0 while a guest uses its MSI or MSI-X stops this "
                                "host, since nothing holds the removal up: {}",
                                unguarded));
  if (!parts_.errors)
    found.push_back(fmt::format(
        "errors of PCI functions are noticed only when dom0's kernel resets the bus for them: {}", parts_.no_errors));
  return found;
}

pci::result<void> real_host::start(event_sink& sink) {
  if (loop_)
    return pci::fail(EALREADY, "the host is started already");
  std::unique_ptr<event_loop> loop;
  auto started =
      keep(loop, event_loop::open())
          .and_then([&] { return deliver_watches(*loop, *parts_.xenstore, sink, heartbeat_); })
          .and_then([&] { return deliver_lines(*loop, *parts_.lines, sink); })
          .and_then([&] { return deliver_functions(*loop, *parts_.uevents, *parts_.inventory, *parts_.guards, sink); })
          .and_then([&] { return deliver_sleeps(*loop, *parts_.sleeps, sink); });
  if (parts_.errors)
    started = started.and_then([&] { return deliver_errors(*loop, *parts_.errors, sink); });
  started = started.and_then([&] { return loop->start(); });
  if (started) {
    loop_ = std::move(loop);
    parts_.guards->listen([&sink](const pci::sbdf& address) { sink.removal_waits(address); });
  }
  return started;
}

} // namespace platform
