// SPDX-License-Identifier: GPL-2.0-or-later
// What a function shares with others. Pages in which another has registers: who gets the one reaches the other
// (XSA-461). Interrupt lines.
#include "actors/device/device.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "actors/jobs.hpp"
#include "actors/xenstore/guest_names.hpp"
#include "pci/frames.hpp"

namespace actors {
namespace {

std::string told(const pci::sbdf& address, std::string_view other, std::string_view owner) {
  return fmt::format("{} has registers in the same page as {}, which {}; to give it to a guest all the same, set "
                     "share_pages = true in its settings",
                     pci::to_string(address), other, owner);
}

/// One of dom0's drivers has a function that shares one of the pages.
pci::result<void> check_dom0s_pages(platform::pci_host& host, const pci::sbdf& address,
                                    const std::vector<std::uint64_t>& frames) {
  for (const auto& other : host.list()) {
    const auto resources = host.resources(other);
    if (other == address || !resources || !pci::frame_of(*resources, frames)) {
      continue;
    }
    const auto driver = host.driver(other);
    if (driver && !driver->empty() && !platform::is_holder(*driver)) {
      return pci::fail(EBUSY, told(address, pci::to_string(other), fmt::format("dom0's driver {} has", *driver)));
    }
  }
  return {};
}

} // namespace

// The pages are the guest's from then on, until a scrub has revoked them or `leave_pages`.
void device_state::take_pages(const users::guest& whose, caf::response_promise promise, action then) {
  const auto frames = pci::partial_frames(hardware_->description().resources);
  if (frames.empty() || policy_.in_force().share_pages) {
    return then();
  }
  if (const auto other = all_->functions->frames.add_alone(whose, frames, address_)) {
    return refuse_page(*other, promise);
  }
  prepare<void>(
      [all = all_, address = address_, frames] { return check_dom0s_pages(all->host.pci(), address, frames); },
      [this, domain = whose.front(), promise, then = std::move(then)](const pci::result<void>& free) {
        if (free) {
          return then();
        }
        leave_pages(domain);
        refuse(promise, free.error());
      });
}

void device_state::leave_pages(messages::domain_id domain) {
  for (const auto frame : pci::partial_frames(hardware_->description().resources)) {
    static_cast<void>(all_->functions->frames.remove(domain, frame, address_));
  }
}

// A guest that has the one function reaches the other, also in dom0's hands.
std::optional<pci::failure> device_state::reached_by_guests() const {
  if (!hardware_ || policy_.in_force().share_pages) {
    return std::nullopt;
  }
  for (const auto frame : pci::partial_frames(hardware_->description().resources)) {
    if (const auto guests = all_->functions->frames.others({}, frame); !guests.empty()) {
      return pci::failure{
          EBUSY, fmt::format("{} cannot be released: domain {} has a function with registers in the same "
                             "page; to give it to a guest all the same, set share_pages = true in its settings",
                             pci::to_string(address_), guests.front())};
    }
  }
  return std::nullopt;
}

// A line is shared, too, but that is allowed: old hosts have no other.
void device_state::describe_sharing(messages::function_status& status) const {
  if (!domain_ || status.gsi == 0) {
    return;
  }
  status.line_guests = all_->functions->lines.others(hardware::guest_of(*domain_, target_), status.gsi);
  if (!status.line_guests.empty() && status.detail.empty()) {
    status.detail =
        fmt::format("its interrupt line {} is shared with domain {}", status.gsi, fmt::join(status.line_guests, ", "));
  }
}

void device_state::refuse_page(const users::user& other, caf::response_promise promise) {
  auto refuse_it = [this, other, promise](const pci::result<std::string>& name) {
    const auto owner = called({other.domain, name.value_or(std::string{})});
    refuse(promise, {EBUSY, told(address_, pci::to_string(other.address), owner + " has")});
  };
  apply(event::prepare, [this, domain = other.domain, refuse_it] {
    run_on<std::string>(
        all_->store_worker, self_,
        [all = all_, domain]() -> pci::result<std::string> { return names_of(all->host.xenstore(), domain).name; },
        [this, refuse_it](const pci::result<std::string>& name) { apply(event::prepared, [&] { refuse_it(name); }); });
  });
}

} // namespace actors
