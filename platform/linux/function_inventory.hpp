// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "pci/address.hpp"
#include "platform/linux/sysfs.hpp"
#include "platform/linux/uevents.hpp"

namespace platform::linux_host {

/// What sysfs has of one function. The inode is another one when the function went and came again.
struct function_entry {
  std::uint64_t inode = 0;
  bool has_driver = false;
  friend bool operator==(const function_entry&, const function_entry&) = default;
};

using function_entries = std::map<pci::sbdf, function_entry>;

/// What must have happened between two looks, as the kernel would have told it: removals first. Of a driver that came,
/// and of the end of a recovery, nothing is told.
[[nodiscard]] std::vector<uevent> events_between(const function_entries& before, const function_entries& now);

/// The functions of /sys/bus/pci/devices, as the announcements told of them, and as they are when announcements were
/// lost.
class function_inventory {
public:
  /// `files` must outlive it.
  explicit function_inventory(const sysfs& files) : files_(files), known_(look()) {}

  /// The kernel has announced this.
  void note(const uevent& event);
  /// Announcements were lost: what they must have been.
  [[nodiscard]] std::vector<uevent> missed();

private:
  [[nodiscard]] function_entries look() const;
  const sysfs& files_;
  function_entries known_;
};

} // namespace platform::linux_host
