// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "messages/types.hpp"
#include "pci/address.hpp"
#include "pci/protocol/xenbus.hpp"
#include "platform/store.hpp"

/// The toolstack's use of xenstore, laid out exactly as libxl lays it out (spec 7.2, 7.8), so that xl can go on from
/// here. Plain functions that may block.
namespace actors {

/// A guest by number or by name. ESRCH: there is none. EINVAL: it is dom0, however it is called.
[[nodiscard]] pci::result<messages::domain_id> resolve_domain(platform::store& store, const std::string& text);

/// Whom xenstore knows, without dom0.
[[nodiscard]] std::vector<messages::domain_id> list_domains(platform::store& store);

/// EBUSY when /libxl/pci, or a backend directory, says that a living domain has the function already.
[[nodiscard]] pci::result<void> check_unclaimed(platform::store& store, const pci::sbdf& address);

/// The living domain that has the function, as far as /libxl/pci says.
[[nodiscard]] std::optional<messages::domain_id> claimed_by(platform::store& store, const pci::sbdf& address);
/// Or a backend directory.
[[nodiscard]] std::optional<messages::domain_id> served_in(platform::store& store, const pci::sbdf& address);

/// The driver that a function was taken from, kept where libxl keeps it, so that it outlives the daemon and that
/// `xl pci-assignable-remove -r` finds it. Empty: nothing is noted.
[[nodiscard]] std::string noted_driver(platform::store& store, const pci::sbdf& address);
/// Notes a driver; with an empty name, forgets it.
[[nodiscard]] pci::result<void> note_driver(platform::store& store, const pci::sbdf& address,
                                            const std::string& driver);

/// How far a device is, for the toolstack that waits.
enum class progress : std::uint8_t {
  waiting, ///< not yet
  done,
  refused, ///< the backend said no, or closed
};

/// A device's opts-N.
struct device_options {
  bool permissive = false;
  pci::rdm_policy rdm = pci::rdm_policy::strict;
};

/// Adds a device: both directories for the first, the device's nodes and num_devs, and state 7 when the guest runs and
/// may be told so (`plug`). EAGAIN while a reconfiguration is under way, or when a guest runs that may not; EPIPE when
/// the guest's PCI bus has closed.
[[nodiscard]] pci::result<void> add_device(platform::store& store, messages::domain_id domain, const pci::sbdf& address,
                                           const device_options& options, bool plug);
struct addition {
  progress how = progress::waiting;
  pci::sbdf virtual_address;
  std::string error;          ///< what the backend wrote into its error node
  std::string frontend_error; ///< likewise the frontend, made printable
};
[[nodiscard]] pci::result<addition> look_at_addition(platform::store& store, messages::domain_id domain,
                                                     const pci::sbdf& address);

/// Asks the guest to give a device up: state-N 5, state 7. ENOENT: it does not have it. EAGAIN as above. Where no
/// frontend has come there is nobody to ask.
[[nodiscard]] pci::result<void> begin_removal(platform::store& store, messages::domain_id domain,
                                              const pci::sbdf& address, bool plug);
[[nodiscard]] pci::result<progress> look_at_removal(platform::store& store, messages::domain_id domain);
/// Deletes a device's nodes, numbers the higher ones down by one, and removes both directories after the last.
[[nodiscard]] pci::result<void> remove_device(platform::store& store, messages::domain_id domain,
                                              const pci::sbdf& address);

} // namespace actors
