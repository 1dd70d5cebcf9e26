// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/holdings.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "pci/config_space/restore.hpp"
#include "pci/protocol/xenbus.hpp"
#include "pci/protocol/xenstore_paths.hpp"
#include "platform/remote/codec.hpp"
#include "platform/remote/node_rules.hpp"

namespace platform::remote {
namespace {

constexpr const char* guests_record = "guests";
constexpr std::uint32_t form = 1; ///< of a record: the first number in it
constexpr unsigned page_shift = 12;

tl::unexpected<pci::failure> not_held(const pci::sbdf& address) {
  return refuse(fmt::format("{} is not held, so nothing is done with it", pci::to_string(address)));
}

/// Whether [first, first + count) lies in [from, to].
bool inside(std::uint64_t first, std::uint64_t count, std::uint64_t from, std::uint64_t to) {
  return count != 0 && first >= from && first <= to && count - 1 <= to - first;
}

/// Empty: another version has written it, or nobody.
std::optional<std::vector<domain_id>> guests_of(const std::string& text) {
  auto all = decode<std::tuple<std::uint32_t, std::vector<domain_id>>>(text);
  return all && std::get<0>(*all) == form ? std::optional{std::move(std::get<1>(*all))} : std::nullopt;
}

std::optional<std::pair<pci::function, std::string>> function_of(const std::string& name, const std::string& text) {
  auto one = decode<std::tuple<std::uint32_t, pci::function, std::string>>(text);
  if (!one || std::get<0>(*one) != form || pci::to_string(std::get<1>(*one).address) != name)
    return std::nullopt;
  return std::pair{std::move(std::get<1>(*one)), std::move(std::get<2>(*one))};
}

} // namespace

bool takes_up(const std::string& name, const std::string& text) {
  return name == guests_record ? guests_of(text).has_value() : function_of(name, text).has_value();
}

bool can_be_guest(domain_id domain) { return domain != 0 && domain <= pci::largest_domain; }

holdings::holdings(host& where, std::shared_ptr<records> kept) : where_(where), kept_(std::move(kept)) {
  const auto names = kept_->names();
  first_ = names && names->empty();
  load();
  keep_guests();
}

void holdings::load() {
  for (const auto& name : kept_->names().value_or(std::vector<std::string>{})) {
    const auto text = kept_->read(name);
    if (!text)
      continue;
    if (name == guests_record) {
      for (const auto domain : guests_of(*text).value_or(std::vector<domain_id>{}))
        if (can_be_guest(domain) && where_.xen().domain(domain))
          guests_.insert(domain);
      continue;
    }
    auto one = function_of(name, *text);
    if (!one)
      continue;
    auto& [reference, driver] = *one;
    if (!driver.empty())
      where_.pci().remember_driver(reference.address, driver);
    const auto address = reference.address;
    functions_.insert_or_assign(address, entry{std::move(reference), std::move(driver)});
  }
}

void holdings::import(const pci::function& reference) {
  const std::lock_guard lock(mutex_);
  const auto [where, made] = functions_.try_emplace(reference.address, entry{reference, {}});
  if (made)
    keep(reference.address, where->second);
}

// What cannot be kept is known for as long as this process lives, and the next one starts again from the hold.
void holdings::keep(const pci::sbdf& address, const entry& what) const {
  static_cast<void>(
      kept_->write(pci::to_string(address), encode(std::tuple(form, what.reference, what.previous_driver))));
}

void holdings::keep_guests() const {
  static_cast<void>(
      kept_->write(guests_record, encode(std::tuple(form, std::vector<domain_id>(guests_.begin(), guests_.end())))));
}

// Without a look at the registers of one that is known: a guest may have it, and it is only its holder that changes.
bool holdings::is_known_as_it_is(const pci::sbdf& address) const {
  const auto known = reference(address);
  if (!known)
    return false;
  const auto now = where_.pci().identify(address);
  const auto resources = where_.pci().resources(address);
  return now && resources && *now == pci::identity_of(*known) && *resources == known->resources;
}

pci::result<void> holdings::note_held(const pci::sbdf& address) {
  auto driver = where_.pci().previous_driver(address);
  if (is_known_as_it_is(address)) {
    const std::lock_guard lock(mutex_);
    auto& one = functions_[address];
    if (!driver.empty() && std::exchange(one.previous_driver, driver) != driver)
      keep(address, one);
    return {};
  }
  auto now = where_.pci().describe(address);
  if (!now)
    return tl::unexpected(std::move(now.error()));
  pci::make_reference(*now);
  const std::lock_guard lock(mutex_);
  auto& one = functions_[address];
  one = {std::move(*now), std::move(driver)};
  keep(address, one);
  return {};
}

void holdings::forget(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  functions_.erase(address);
  static_cast<void>(kept_->remove(pci::to_string(address)));
}

pci::result<pci::function> holdings::reference(const pci::sbdf& address) const {
  const std::lock_guard lock(mutex_);
  const auto found = functions_.find(address);
  return found == functions_.end() ? not_held(address) : pci::result<pci::function>(found->second.reference);
}

// Without a driver it is between two holders, or was unbound behind the daemon's back.
pci::result<pci::function> holdings::held(const pci::sbdf& address) const {
  auto known = reference(address);
  if (!known)
    return known;
  const auto driver = where_.pci().driver(address);
  if (!driver)
    return tl::unexpected(driver.error());
  if (!driver->empty() && !is_holder(*driver))
    return not_held(address);
  return known;
}

// What the host remembers is from here as well: from a hold, from an earlier instance, or from libxl's note.
std::string holdings::previous_driver(const pci::sbdf& address) const {
  {
    const std::lock_guard lock(mutex_);
    const auto found = functions_.find(address);
    if (found != functions_.end() && !found->second.previous_driver.empty())
      return found->second.previous_driver;
  }
  return where_.pci().previous_driver(address);
}

bool holdings::is_physical_of_held(const pci::sbdf& address) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(functions_,
                             [&](const auto& each) { return each.second.reference.physical_function == address; });
}

pci::result<void> holdings::check_frames(std::uint64_t first, std::uint64_t count) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [address, one] : functions_)
    for (const auto& region : one.reference.resources)
      if (region.size() != 0 && region.is_memory() &&
          inside(first, count, region.start >> page_shift, region.end >> page_shift))
        return {};
  return refuse(fmt::format("{} frames at {:#x} are no held function's", count, first));
}

pci::result<void> holdings::check_ports(std::uint32_t first, std::uint32_t count) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [address, one] : functions_)
    for (const auto& region : one.reference.resources)
      if (region.size() != 0 && region.is_io() && inside(first, count, region.start, region.end))
        return {};
  return refuse(fmt::format("{} ports at {:#x} are no held function's", count, first));
}

pci::result<void> holdings::check_line(std::uint32_t gsi) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [address, one] : functions_)
    if (gsi != 0 && one.reference.irq == gsi)
      return {};
  return refuse(fmt::format("line {} is no held function's", gsi));
}

bool holdings::has_directory(domain_id domain) const {
  return where_.xenstore().list(pci::paths::backend_parent(domain)).has_value();
}

// A toolstack writes that node, and no guest can.
bool holdings::serves_as_target(domain_id domain) const {
  auto& store = where_.xenstore();
  for (const auto& name : store.list(pci::paths::backends).value_or(std::vector<std::string>{})) {
    const auto stub = pci::parse_number(name, pci::largest_domain);
    const auto own = static_cast<domain_id>(stub.value_or(0));
    const auto target = store.read(pci::paths::home(own, pci::node::target));
    if (own != 0 && target && pci::parse_number(*target, pci::largest_domain) == domain)
      return true;
  }
  return false;
}

pci::result<void> holdings::check_guest(domain_id domain) {
  if (!can_be_guest(domain))
    return refuse(fmt::format("domain {} is no guest", domain));
  {
    const std::lock_guard lock(mutex_);
    if (guests_.contains(domain))
      return {};
  }
  if (!has_directory(domain) && !serves_as_target(domain))
    return refuse(fmt::format("domain {} has no PCI backend directory", domain));
  note_guest(domain);
  return {};
}

pci::result<void> holdings::check_guest_or_gone(domain_id domain) {
  auto allowed = check_guest(domain);
  return allowed || !can_be_guest(domain) || where_.xen().domain(domain) ? allowed : pci::result<void>{};
}

// Numbers of domains come again only when all others were used.
void holdings::note_guest(domain_id domain) {
  const std::lock_guard lock(mutex_);
  if (guests_.insert(domain).second) {
    std::erase_if(guests_, [&](domain_id each) { return each != domain && !where_.xen().domain(each); });
    keep_guests();
  }
}

} // namespace platform::remote
