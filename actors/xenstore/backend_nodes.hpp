// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "messages/types.hpp"
#include "pci/protocol/xenbus.hpp"
#include "platform/store.hpp"

/// A backend's use of xenstore, as plain functions that may block (spec 7.2).
namespace actors {

/// No guest has more devices than this: slots times functions of the virtual root bus. What a directory claims beyond
/// is not read.
inline constexpr unsigned max_devices = 256;

/// What a state node says; unknown: it is not there, or no state.
[[nodiscard]] pci::xenbus_state read_state(platform::store_operations& store, const std::string& path);

/// How many devices a backend directory names.
[[nodiscard]] unsigned device_count(platform::store_operations& store, const std::string& directory);

/// Reads both directories of a guest. Only the frontend's nodes are the guest's to write, and they are bounded by their
/// parsers.
/// What the frontend wrote into its own error node: "22 no magic". Of printable characters, 200 at most; empty:
/// nothing.
[[nodiscard]] std::string frontend_error(platform::store_operations& store, messages::domain_id domain);

[[nodiscard]] pci::result<pci::xenbus_nodes> read_nodes(platform::store& store, messages::domain_id domain);

/// Answers a new directory: state 2. `own_view`: the guest must not see the states 6 to 8, and is shown a directory of
/// its own; EBUSY, with state 2 written, when it has looked into this one already. EAGAIN as below.
[[nodiscard]] pci::result<void> accept_guest(platform::store& store, messages::domain_id domain, bool own_view);

/// Writes state 1 for a frontend whose state is 6, so that its guest looks for a driver for it.
[[nodiscard]] pci::result<void> call_frontend(platform::store& store, messages::domain_id domain);

/// Writes nodes below the backend directory in one transaction, provided that the directory is still there, its state
/// is still the one that was seen, and so are the `expected` nodes (an index is another device's when one before it has
/// left): EAGAIN otherwise, with nothing written (the toolstack got in between). A guest with a view of its own gets
/// the nodes there too.
[[nodiscard]] pci::result<void> write_nodes(platform::store& store, messages::domain_id domain, pci::xenbus_state seen,
                                            const std::vector<pci::node_write>& writes,
                                            const std::vector<pci::node_write>& expected = {});

/// Writes /local/domain/0/error/backend/pci/N/0/error: "<errno> <message>".
[[nodiscard]] pci::result<void> write_error(platform::store& store, messages::domain_id domain,
                                            const pci::failure& what);

/// Writes aerState "aerfail" into the backend directory, if that is still there (spec 8.4).
[[nodiscard]] pci::result<void> write_aer_state(platform::store& store, messages::domain_id domain);

/// Removes what a toolstack left of a guest: with `dead` the backend directory; the parent when it is empty, and the
/// guest's own view.
[[nodiscard]] pci::result<void> remove_backend(platform::store& store, messages::domain_id domain, bool dead);

/// Ends a guest's nodes. `dead`: its domain is dying or gone; then what a toolstack left is removed, libxl's notes of
/// the functions included. Otherwise the backend's state becomes 6, unless it is (`seen`) or the directory is gone
/// (`seen` unknown).
[[nodiscard]] pci::result<void> forget_guest(platform::store& store, messages::domain_id domain, bool dead,
                                             pci::xenbus_state seen, const std::vector<pci::sbdf>& functions);

/// Removes libxl's notes of functions whose domain, says `gone`, is no more: with such a note libxl refuses to hand the
/// function out, for good.
void remove_stale_notes(platform::store& store, const std::function<bool(messages::domain_id)>& gone);

/// The domains that have a backend directory.
[[nodiscard]] pci::result<std::vector<messages::domain_id>> list_backends(platform::store& store);

} // namespace actors
