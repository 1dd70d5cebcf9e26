// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>

#include "pci/result.hpp"
#include "tools/sysfs/tree.hpp"

namespace sysfs_program {

/// Mounts the tree with FUSE and serves it, each request on a thread of its own, until a signal ends the program; then
/// unmounts. `ready` is called when it is mounted. What a dead instance has left mounted there is unmounted first;
/// EBUSY: a living one serves it.
[[nodiscard]] pci::result<void> serve(const tree& what, const std::string& mount_point,
                                      const std::function<void()>& ready);

} // namespace sysfs_program
