// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/function_inventory.hpp"

#include <optional>
#include <string>

#include <sys/stat.h>

namespace platform::linux_host {
namespace {

const std::string devices = "bus/pci/devices/";

std::optional<function_entry> entry_of(const sysfs& files, const std::string& name) {
  struct stat found {};
  if (::stat(files.path(devices + name).c_str(), &found) != 0)
    return std::nullopt;
  return function_entry{found.st_ino, files.exists(devices + name + "/driver")};
}

} // namespace

std::vector<uevent> events_between(const function_entries& before, const function_entries& now) {
  std::vector<uevent> events;
  for (const auto& [address, entry] : before)
    if (const auto found = now.find(address); found == now.end() || found->second.inode != entry.inode)
      events.push_back({uevent::action::remove, address});
  for (const auto& [address, entry] : now) {
    if (const auto found = before.find(address); found == before.end() || found->second.inode != entry.inode)
      events.push_back({uevent::action::add, address});
    else if (found->second.has_driver && !entry.has_driver)
      events.push_back({uevent::action::unbind, address});
  }
  return events;
}

void function_inventory::note(const uevent& event) {
  // What is there by now counts: whatever follows is announced, or was lost. A removal is announced before it is seen.
  const auto entry = entry_of(files_, pci::to_string(event.address));
  if (entry && event.what != uevent::action::remove)
    known_.insert_or_assign(event.address, *entry);
  else
    known_.erase(event.address);
}

std::vector<uevent> function_inventory::missed() {
  auto now = look();
  auto events = events_between(known_, now);
  known_ = std::move(now);
  return events;
}

function_entries function_inventory::look() const {
  function_entries found;
  for (const auto& name : files_.entries("bus/pci/devices")) {
    const auto address = pci::parse_sbdf(name);
    if (const auto entry = address ? entry_of(files_, name) : std::nullopt)
      found.emplace(*address, *entry);
  }
  return found;
}

} // namespace platform::linux_host
