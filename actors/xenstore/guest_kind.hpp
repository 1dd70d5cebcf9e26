// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/types.hpp"
#include "platform/host.hpp"

namespace actors {

/// What a domain is, as far as it matters to who hands functions out. A PV guest has a PCI frontend and no more. What
/// an HVM guest has is used by its device model, in dom0 or in a stub domain; then the stub domain has the frontend and
/// the backend directory, and the HVM guest, its target, is the owner in Xen's eyes.
struct guest_kind {
  messages::domain_id domain = 0;
  std::optional<messages::domain_id> target; ///< the HVM guest: the domain itself, or that of a stub domain
  bool pvh = false;                          ///< it has no device model, and can have no function
  std::string name;                          ///< the guest's, a stub domain's target's; empty: none is known

  [[nodiscard]] bool is_stub_domain() const { return target && *target != domain; }
};

/// The HVM guest that a stub domain serves.
[[nodiscard]] std::optional<messages::domain_id> target_of(platform::store& store, messages::domain_id domain);

/// As its home in xenstore and Xen have it: a toolstack writes these nodes, and no guest can. May block.
[[nodiscard]] pci::result<guest_kind> kind_of(platform::host& host, messages::domain_id domain);

/// "web (4)", "web (4), by its stub domain 5", "domain 4".
[[nodiscard]] std::string describe(const guest_kind& guest);

/// EOPNOTSUPP for a guest to which a function can only be given by xl, `command` ("pci-attach", "pci-detach"), which
/// tells its device model; or to which none can be given. May block.
[[nodiscard]] pci::result<void> check_needs_no_device_model(platform::host& host, messages::domain_id domain,
                                                            std::string_view command, const pci::sbdf& address);

} // namespace actors
