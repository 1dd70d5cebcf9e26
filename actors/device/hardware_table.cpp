// SPDX-License-Identifier: GPL-2.0-or-later
// MSI-X prepared anew in Xen, and its pages kept from guests meanwhile: Xen looks at what it lets nobody map writable
// only when a page-table entry is made, so that an entry of the moment in between would stay writable for good.
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/device/hardware.hpp"
#include "actors/xenstore/guest_kind.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/frames.hpp"

namespace actors {

// Prepared anew each time: Xen forgets a mask that it forced on the function while memory decode was off.
pci::result<void> hardware::renew_messages() {
  if (!msix_ || leaving_) {
    return {};
  }
  if (policy_.msix && description_.is_virtual() && !guest_decodes_memory()) {
    // Xen would hold the function masked from then on.
    return pci::fail(ENXIO, fmt::format("{}: its physical function {} does not decode memory",
                                        pci::to_string(description_.address),
                                        pci::to_string(*description_.physical_function)));
  }
  return without_guests([this] { return renew_msix(); });
}

pci::result<void> hardware::renew_msix() {
  // Fails while it was not prepared, which is the state that is wanted here.
  static_cast<void>(host_.xen().release_msix(*msix_));
  if (!policy_.msix) { // an earlier instance may have had other settings
    return pci::turn_messages_off(description_, *port_);
  }
  auto prepared = host_.xen().prepare_msix(*msix_);
  if (!prepared && prepared.error().error == EBUSY) {
    return pci::fail(EBUSY,
                     fmt::format("{}: Xen still has MSI-X vectors of it mapped", pci::to_string(description_.address)));
  }
  if (!prepared && (reached_ || insists_on_msix_)) {
    return prepared; // its guest has been shown the capability; or it may pass
  }
  show_msix(prepared);
  // Xen put the mask into every write while it forced it.
  return pci::turn_messages_off(description_, *port_);
}

// A function is of use without MSI-X, too; the next guest does not see the capability then.
void hardware::show_msix(const pci::result<void>& prepared) {
  const bool shown = !msix_refused_;
  msix_refused_ = prepared ? std::optional<pci::failure>{} : prepared.error();
  if (shown == prepared.has_value()) {
    return;
  }
  auto policy = policy_;
  policy.msix = prepared.has_value();
  if (auto space = pci::space::build(description_, policy)) {
    space_ = std::move(*space);
  }
  if (!prepared) {
    // Unlimited: once, when Xen begins to refuse.
    spdlog::warn("{} is used without MSI-X: {}", pci::to_string(description_.address),
                 pci::to_string(prepared.error()));
  }
}

// To whom a toolstack gives the function while it is still being cleaned. It says so before it gives anything.
std::optional<messages::domain_id> hardware::next_guest() const {
  const auto next = claimed_by(host_.xenstore(), description_.address);
  const bool last = next && (next == last_guest() || next == target_);
  // The last one's note may not be gone yet.
  return last && !host_.xen().has_guest(description_.address).value_or(false) ? std::nullopt : next;
}

// Who may map the pages, and whether he gets them again: the guest that has the function, and one that has another
// function in the same page. While it is being cleaned: any other guest, for a toolstack whose attach failed, or which
// is still at it, has given it the memory, and Xen tells nobody who has it.
std::map<messages::domain_id, bool> hardware::guests_of_table() const {
  std::map<messages::domain_id, bool> guests;
  if (!reached_) { // in a job, which may wait for xenstore
    for (const auto domain : list_domains(host_.xenstore())) {
      guests[domain] = false;
    }
  }
  for (const auto& last : {last_guest(), target_}) {
    if (last) {
      guests[*last] = reached_;
    }
  }
  for (const auto& range : pci::msix_frames(description_)) {
    for (auto frame = range.first; frame < range.first + range.count; ++frame) {
      for (const auto guest : registry_->frames.others({}, frame)) {
        guests[guest] = true;
      }
    }
  }
  return guests;
}

pci::result<void> hardware::permit_table(platform::hypervisor& xen, const pci::function& function,
                                         messages::domain_id domain, bool allow) {
  pci::result<void> outcome;
  for (const auto& range : pci::msix_frames(function)) {
    auto done = xen.permit_memory(domain, range.first, range.count, allow);
    if (!done && done.error().error != ESRCH && outcome) {
      outcome = done; // what is left of the pages all the same
    }
  }
  return outcome;
}

pci::result<void> hardware::without_guests(const std::function<pci::result<void>()>& work) {
  auto guests = guests_of_table();
  pci::result<void> outcome;
  for (const auto& [guest, again] : guests) {
    if (auto taken = permit_table(host_.xen(), description_, guest, false); !taken && outcome) {
      outcome = taken;
    }
  }
  if (outcome) {
    outcome = work();
  }
  // Looked at afterwards: a note that came meanwhile may have been followed by rights that were taken here.
  if (const auto next = reached_ ? std::nullopt : next_guest()) {
    for (auto& [guest, again] : guests) {
      again = again || guest == *next || target_of(host_.xenstore(), guest) == next;
    }
  }
  for (const auto& [guest, again] : guests) {
    if (auto given = again ? permit_table(host_.xen(), description_, guest, true) : pci::result<void>{}; !given) {
      // Unlimited: Xen takes back what it has given.
      spdlog::error("{}: domain {} could not be given the pages of its interrupts again: {}",
                    pci::to_string(description_.address), guest, pci::to_string(given.error()));
      outcome = outcome ? given : outcome;
    }
  }
  return outcome;
}

} // namespace actors
