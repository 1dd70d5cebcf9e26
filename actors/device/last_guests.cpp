// SPDX-License-Identifier: GPL-2.0-or-later
// Who had the function before, and runs on: revoking takes a right, but no page-table entry that was made under it.
#include "actors/device/device.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/xenstore/guest_names.hpp"

namespace actors {

using messages::function_state;

std::vector<device_state::past_guest> device_state::living_guests() const {
  std::vector<past_guest> living;
  for (const auto& each : past_guests_) {
    if (!gone(*all_, each.domain)) {
      living.push_back(each);
    }
  }
  return living;
}

std::string device_state::tell_of_last_guests() const {
  std::vector<std::string> names;
  for (const auto& each : living_guests()) {
    names.push_back(called(each));
  }
  if (names.empty()) {
    return {};
  }
  return names.size() == 1 ? fmt::format("its last guest, {}, still runs", names.front())
                           : fmt::format("its last guests, {}, still run", fmt::join(names, " and "));
}

std::string device_state::called(const past_guest& guest) {
  return guest.name.empty() ? fmt::format("domain {}", guest.domain) : fmt::format("{} ({})", guest.name, guest.domain);
}

void device_state::remember_guests(const std::vector<messages::domain_id>& guests) {
  for (const auto domain : guests) {
    if (!gone(*all_, domain)) {
      past_guests_.push_back({domain, {}});
      ask_name(domain);
    }
  }
}

// A function without memory leaves nothing: access to ports ends with the permission.
void device_state::guest_is_past() {
  past_guests_ = living_guests();
  const auto& resources = hardware_->description().resources;
  const auto memory = [](const pci::resource& each) { return each.is_memory() && each.size() != 0; };
  if (std::none_of(resources.begin(), resources.end(), memory)) {
    return;
  }
  for (const auto& last : {hardware_->last_guest(), hardware_->target()}) {
    if (last && !gone(*all_, *last)) {
      std::erase_if(past_guests_, [last](const past_guest& each) { return each.domain == *last; });
      past_guests_.push_back({*last, {}});
      ask_name(*last);
    }
  }
}

void device_state::ask_name(messages::domain_id domain) {
  run_on<std::string>(
      all_->store_worker, self_,
      [all = all_, domain]() -> pci::result<std::string> { return names_of(all->host.xenstore(), domain).name; },
      [this, domain](const pci::result<std::string>& found) {
        for (auto& each : past_guests_) {
          if (each.domain == domain && found) {
            each.name = *found;
          }
        }
        if (const auto told = tell_of_last_guests(); !told.empty() && state() == function_state::held) {
          lease_log_.write(spdlog::level::info, "{}: {}, and keeps what it has mapped of it", pci::to_string(address_),
                           told);
        }
      });
}

// `whom`: empty for dom0.
std::optional<pci::failure> device_state::reserved(std::string_view wish,
                                                   std::optional<messages::domain_id> whom) const {
  if (policy_.in_force().reuse != pci::reuse_policy::after_guest) {
    return std::nullopt;
  }
  const auto living = living_guests();
  const auto other = [&](const past_guest& each) { return each.domain != whom; };
  if (std::none_of(living.begin(), living.end(), other)) {
    return std::nullopt;
  }
  return pci::failure{EBUSY, fmt::format("{} cannot be {}: {}, and its settings say reuse = \"after_guest\"",
                                         pci::to_string(address_), wish, tell_of_last_guests())};
}

} // namespace actors
