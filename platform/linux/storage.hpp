// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "pci/address.hpp"
#include "platform/linux/sysfs.hpp"

namespace platform::linux_host {

/// The PCI functions that carry what dom0 runs from, and what that is, such as "/boot (nvme0n1p1)" or "swap (dm-1)":
/// the block devices of every mounted file system and of the swap space, those that they are made of (device mapper,
/// md, btrfs, bcachefs, multipath NVMe), and every function on the way from the host bridge to them. The kernel does
/// not say which devices a ZFS pool has: while a ZFS is mounted, all that udev takes for members of a pool count.
/// `system`, `processes` and `udev` are /sys, /proc and udev's database. What is mounted from elsewhere (NFS, iSCSI,
/// loop devices on files) names no function; the file system that a loop device's file is on does. Fails when the
/// mounts cannot be read.
[[nodiscard]] pci::result<std::map<pci::sbdf, std::string>>
storage_functions(const sysfs& system, const sysfs& processes, const sysfs& udev = sysfs{"/run/udev/data"});

} // namespace platform::linux_host
