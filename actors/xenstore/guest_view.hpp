// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "messages/types.hpp"
#include "pci/protocol/xenbus.hpp"
#include "platform/store.hpp"

/// A backend directory for the eyes of one guest. It is for a frontend that must not see the states 6 to 8: NetBSD's
/// panics on them (spec 9.7), and it is libxl that writes 7, into the directory that it made. So the frontend is shown
/// another one before it looks, with the daemon's own nodes in it, and the states that it can bear. Not below
/// "backend", where dom0's kernel would make a device of it. All functions are for the inside of a transaction.
namespace actors {

[[nodiscard]] bool has_view(platform::store_operations& store, messages::domain_id domain);
/// Makes the directory and leads the frontend there. EBUSY: the frontend has begun, and has seen the other one.
[[nodiscard]] pci::result<void> make_view(platform::store_operations& store, messages::domain_id domain);
/// Writes the same nodes there, if the guest has such a directory: `state` when it is one that the guest can bear and
/// does not have yet, the others as they are.
[[nodiscard]] pci::result<void> write_view(platform::store_operations& store, messages::domain_id domain,
                                           const std::vector<pci::node_write>& writes);
void remove_view(platform::store_operations& store, messages::domain_id domain);

} // namespace actors
