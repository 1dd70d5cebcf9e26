// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/look.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "actors/root/hiding.hpp"
#include "actors/xenstore/guest_kind.hpp"
#include "pci/frames.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors::control {
namespace {

messages::sharer sharer_at(platform::host& host, const pci::sbdf& address) {
  return {address, host.pci().driver(address).value_or(std::string{}), {}, {}};
}

// Of its slot; of an absent one, what is on its bus: it may have another number now.
std::vector<messages::sharer> mates_of(platform::host& host, const pci::sbdf& address, bool there) {
  std::vector<messages::sharer> mates;
  for (const auto& other : host.pci().list()) {
    const bool near =
        other.segment == address.segment && other.bus == address.bus && (!there || other.slot() == address.slot());
    if (near && other != address) {
      mates.push_back(sharer_at(host, other));
    }
  }
  return mates;
}

std::vector<messages::sharer> page_mates_of(platform::host& host, const pci::sbdf& address) {
  std::vector<messages::sharer> mates;
  const auto own = host.pci().resources(address);
  const auto frames = own ? pci::partial_frames(*own) : std::vector<std::uint64_t>{};
  for (const auto& other : frames.empty() ? std::vector<pci::sbdf>{} : host.pci().list()) {
    const auto resources = host.pci().resources(other);
    if (other != address && resources && pci::frame_of(*resources, frames)) {
      mates.push_back(sharer_at(host, other));
    }
  }
  return mates;
}

// Without one, Xen has no answer to whether somebody has a function, nor to anything else that concerns an IOMMU.
bool drives_no_iommu(platform::host& host, const pci::sbdf& address) {
  const auto asked = host.xen().has_guest(address);
  return !asked && (asked.error().error == EOPNOTSUPP || asked.error().error == ENOSYS);
}

// The guest's own bits, of which the hardware does not have all.
std::optional<std::uint16_t> noted_command(journal& from, const pci::sbdf& address) {
  const auto record = from.find(address);
  if (!record || !record->domain) {
    return std::nullopt;
  }
  return from.last_state(*record).command;
}

// Its own registers are read for that.
void look_at_objections(platform::host& host, const settings& what, messages::function_account& account) {
  const auto admitted = admit(host, what, account.address);
  const auto function = host.pci().describe(account.address);
  if (!admitted || !function) {
    return;
  }
  if (admitted->wanted.pin) {
    account.pin_mismatch = pci::mismatch(*admitted->wanted.pin, *function);
  }
  if (account.pin_mismatch.empty()) {
    account.objection = admitted->objection;
  }
}

} // namespace

messages::function_account look_at_function(platform::host& host, const settings& what, journal& records,
                                            const pci::sbdf& address, bool held) {
  messages::function_account account;
  account.address = address;
  const auto function = host.pci().identify(address);
  account.there = function.has_value();
  account.slot_mates = mates_of(host, address, account.there);
  const auto* wanted = function ? what.find(*function) : what.named(address);
  account.configured = wanted != nullptr;
  account.hold = wanted != nullptr && wanted->hold;
  account.seize = wanted != nullptr && wanted->seize;
  account.rdm_relaxed = wanted != nullptr && wanted->policy.rdm == pci::rdm_policy::relaxed;
  account.share_pages = wanted != nullptr && wanted->policy.share_pages;
  account.no_iommu = drives_no_iommu(host, address);
  if (!function) {
    return account;
  }
  account.vendor = function->vendor;
  account.device = function->device;
  account.class_code = function->class_code;
  account.driver = host.pci().driver(address).value_or(std::string{});
  account.previous_driver = host.pci().previous_driver(address);
  account.resets = host.pci().reset_options(address).value_or(std::vector<pci::reset_option>{});
  account.page_mates = page_mates_of(host, address);
  for (auto& region : host.pci().reserved_regions()) {
    if (std::ranges::find(region.functions, address) != region.functions.end()) {
      account.reserved.push_back(std::move(region));
    }
  }
  if (held) {
    account.command = noted_command(records, address);
  } else {
    look_at_objections(host, what, account);
  }
  return account;
}

messages::guest_account look_at_guest(platform::host& host, const messages::overview& all, messages::domain_id domain) {
  messages::guest_account guest;
  guest_kind kind;
  kind.domain = domain;
  kind = kind_of(host, domain).value_or(kind);
  const auto info = host.xen().domain(domain);
  guest.domain = domain;
  guest.name = kind.name;
  guest.words = describe(kind);
  guest.hvm = kind.target == domain;
  guest.pvh = kind.pvh;
  guest.paused = info && info->paused;
  guest.ended = !info || info->dying || info->shutdown;
  guest.vector_limit = host.xen().vectors_a_guest();
  guest.backend_error = host.xenstore().read(pci::paths::backend_error(domain)).value_or(std::string{});
  const auto served = std::ranges::find(all.domains, domain, &messages::domain_status::domain);
  if (served != all.domains.end()) {
    guest.served = *served;
  }
  for (const auto& function : all.functions) {
    guest.vectors += function.domain == domain || function.target == domain ? function.vectors.size() : 0;
  }
  return guest;
}

} // namespace actors::control
