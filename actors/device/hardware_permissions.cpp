// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest may do with a function: its memory and ports, the pirq of its line, and whose it is in Xen's eyes.
#include <cerrno>

#include <fmt/format.h>

#include "actors/device/hardware.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/config_space/base_registers.hpp"
#include "pci/errata.hpp"

namespace actors {
namespace {

constexpr unsigned frame_shift = 12;

bool shares_its_frame(const pci::resource& what) {
  return pci::usable(what) && !what.is_io() && what.size() < (1U << frame_shift);
}

/// What a revocation may meet when the domain is gone, or when its owner took the thing back first.
bool already_gone(const pci::failure& what) { return what.error == ESRCH || what.error == EINVAL; }

} // namespace

void hardware::count_use(function_registry& all, messages::domain_id domain, const pci::function& what) {
  if (what.irq != 0) {
    all.lines.add(domain, what.irq, what.address);
  }
  for (const auto& resource : what.resources) {
    if (shares_its_frame(resource)) {
      all.frames.add(domain, resource.start >> frame_shift, what.address);
    }
  }
}

pci::result<void> hardware::allow_line(messages::domain_id domain) {
  const auto gsi = description_.irq;
  if (gsi == 0) {
    return {};
  }
  auto mapped = host_.xen().map_gsi(domain, gsi);
  return mapped ? host_.xen().permit_irq(domain, gsi, true) : mapped;
}

// A toolstack that granted the line revokes it itself. One that this daemon granted goes with the last function of that
// guest that is on it.
pci::result<void> hardware::deny_line(messages::domain_id domain) {
  const auto gsi = description_.irq;
  if (gsi == 0 || registry_->lines.remove(domain, gsi, description_.address) || !granted_) {
    return {};
  }
  auto& xen = host_.xen();
  auto denied = xen.permit_irq(domain, gsi, false);
  auto unmapped = xen.unmap_pirq(domain, static_cast<std::uint16_t>(gsi));
  if (!denied && !already_gone(denied.error())) {
    return denied;
  }
  return !unmapped && !already_gone(unmapped.error()) ? unmapped : pci::result<void>{};
}

pci::result<void> hardware::allow_resources(messages::domain_id domain, bool allow) {
  pci::result<void> outcome;
  for (const auto& resource : description_.resources) {
    if (!pci::usable(resource)) { // one without an address would be the host's own memory, from 0 on
      continue;
    }
    const auto first_frame = resource.start >> frame_shift;
    if (!allow && shares_its_frame(resource) && registry_->frames.remove(domain, first_frame, description_.address)) {
      continue;
    }
    const auto frames = (resource.end >> frame_shift) - first_frame + 1;
    auto done = resource.is_io() ? host_.xen().permit_ports(domain, static_cast<std::uint32_t>(resource.start),
                                                            static_cast<std::uint32_t>(resource.size()), allow)
                                 : host_.xen().permit_memory(domain, first_frame, frames, allow);
    if (!done && allow) {
      return done;
    }
    // One that cannot be taken away must not leave the others with the guest.
    if (!done && outcome && !already_gone(done.error())) {
      outcome = done;
    }
  }
  return outcome;
}

pci::result<void> hardware::grant_resources(messages::domain_id domain) {
  use_for(domain);
  auto allowed = allow_resources(domain, true);
  return allowed ? allow_line(domain) : allowed;
}

// Xen says no more than that it is not permitted.
pci::result<void> hardware::explain(pci::result<void> assigned) const {
  if (!assigned && assigned.error().error == EPERM) {
    const auto memory = pci::reserved_memory_of(description_.address, host_.pci().reserved_regions());
    assigned.error().context += memory.empty()
                                    ? ": Xen gives no guest a function that shares reserved memory (RMRR) with another"
                                    : fmt::format(": the firmware gives it reserved memory (RMRR) at {}", memory);
  }
  return assigned;
}

// Xen's consent first: it has conditions that nobody else can look at, and while it refuses nothing is touched.
pci::result<void> hardware::grant(messages::domain_id domain, pci::rdm_policy rdm) {
  if (auto assigned = host_.xen().assign(domain, description_.address, rdm); !assigned) {
    return tl::unexpected(explained(assigned.error(), domain));
  }
  granted_ = domain;
  reached_ = true;
  auto done = grant_resources(domain);
  if (!done) {
    static_cast<void>(revoke());
  }
  return done;
}

pci::failure hardware::explained(const pci::failure& refused, messages::domain_id domain) const {
  const auto what = fmt::format("{} cannot be given to domain {}: ", pci::to_string(description_.address), domain);
  switch (refused.error) {
  case EOPNOTSUPP:
    return {EOPNOTSUPP, what +
                            "Xen built it without passthrough; give its xl configuration passthrough=\"enabled\" and "
                            "e820_host=1 and start it again (PV guests only, a PVH guest can have no function)"};
  case EPERM: {
    const auto memory = pci::reserved_memory_of(description_.address, host_.pci().reserved_regions());
    return {EPERM,
            fmt::format("{}it shares reserved memory (RMRR){}{}; if its guest may reach that memory too, set rdm = "
                        "\"relaxed\" in the settings or `pcibackctl attach --rdm relaxed`",
                        what, memory.empty() ? "" : " at ", memory)};
  }
  default:
    return refused;
  }
}

// A toolstack that did the guest's half may have forgotten to undo it: what is this function's alone goes in any
// case.
pci::result<void> hardware::revoke() {
  const auto from = last_guest();
  reached_ = false; // as far as Xen lets it be so
  auto done = from ? revoke_from(*from) : pci::result<void>{};
  if (!target_ || target_ == from) {
    return done;
  }
  auto also = revoke_from(*target_); // the toolstack gave it to a stub domain and to its target
  return done ? also : done;
}

pci::result<void> hardware::revoke_from(messages::domain_id domain) {
  auto line = deny_line(domain);
  auto resources = allow_resources(domain, false);
  return line ? resources : line;
}

pci::result<void> hardware::withdraw() {
  const auto from = last_guest();
  auto done = from ? withdraw_from(*from) : pci::result<void>{};
  if (!target_ || target_ == from) {
    return done;
  }
  auto also = withdraw_from(*target_); // a stub domain has it in xenstore, its target in Xen
  return done ? also : done;
}

pci::result<void> hardware::withdraw_from(messages::domain_id domain) {
  auto taken = host_.xen().deassign(domain, description_.address);
  // ENODEV: it is not that guest's any more, by its toolstack or by its death. EOPNOTSUPP: it never was, for Xen built
  // that guest without passthrough.
  const auto done =
      taken || already_gone(taken.error()) || taken.error().error == ENODEV || taken.error().error == EOPNOTSUPP;
  return done ? pci::result<void>{} : taken;
}

pci::result<void> hardware::quarantine() {
  auto quarantined = explain(host_.xen().assign(platform::domid_io, description_.address, pci::rdm_policy::relaxed));
  if (quarantined || quarantined.error().error != EBUSY) {
    return quarantined;
  }
  const auto assigned = host_.xen().has_guest(description_.address);
  if (!assigned) {
    return tl::unexpected(assigned.error());
  }
  if (!*assigned) { // nobody has it: Xen refuses it while MSI-X is masked as a whole
    return quarantined;
  }
  // Xen does not say whose it is. A toolstack may have given it to the next guest already, which waits for the scrub;
  // then its own notes say so. Otherwise it is still with a guest that had it.
  const auto next = claimed_by(host_.xenstore(), description_.address);
  if (next && last_guest() && next != last_guest() && next != target_) {
    return {};
  }
  return pci::fail(EBUSY, fmt::format("{}: Xen still assigns it to a guest", pci::to_string(description_.address)));
}

} // namespace actors
