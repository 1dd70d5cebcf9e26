// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/journal/guest_words.hpp"

#include <array>

namespace actors {
namespace {

// What a word is, and in which form, in its upper bits: a later version that writes another form has another number.
constexpr std::uint64_t address_form = 0xa1, state_form = 0xa2, recovery_form = 0xa3;
constexpr unsigned form_at = 56, domain_at = 40;

constexpr std::uint64_t key_of(const pci::sbdf& address) {
  return address_form << form_at | static_cast<std::uint64_t>(address.segment) << 16 |
         static_cast<std::uint64_t>(address.bus) << 8 | address.devfn;
}

constexpr std::uint64_t head(std::uint64_t form, messages::domain_id domain) {
  return form << form_at | static_cast<std::uint64_t>(domain) << domain_at;
}

constexpr bool has_head(std::uint64_t word, std::uint64_t form, messages::domain_id domain) {
  return word >> domain_at == head(form, domain) >> domain_at;
}

constexpr unsigned command_at = 24, sizing_at = 16, decoding_at = 0;
constexpr unsigned asked_at = 24, policy_at = 16;
static_assert(pci::recovery::saved_bits <= policy_at);

constexpr std::array policies{pci::error_policy::kill, pci::error_policy::detach, pci::error_policy::log};

} // namespace

// -- one function's

void guest_row::keep(messages::domain_id domain, const pci::guest_state& what) {
  if (where_) {
    at(state) = head(state_form, domain) | static_cast<std::uint64_t>(what.command) << command_at |
                static_cast<std::uint64_t>(what.sizing) << sizing_at |
                static_cast<std::uint64_t>(what.decoding ? 1 : 0) << decoding_at;
  }
}

std::optional<pci::guest_state> guest_row::state_of(messages::domain_id domain) const {
  const std::uint64_t word = where_ ? at(state).load() : 0;
  if (!has_head(word, state_form, domain)) {
    return std::nullopt;
  }
  pci::guest_state found;
  found.command = static_cast<std::uint16_t>(word >> command_at);
  found.sizing = static_cast<std::uint8_t>(word >> sizing_at);
  found.decoding = (word >> decoding_at & 1) != 0;
  return found;
}

void guest_row::keep(messages::domain_id domain, const saved_recovery& what) {
  if (where_) {
    at(recovery) = what.word(domain);
  }
}

void guest_row::forget_recovery() {
  if (where_) {
    at(recovery) = 0;
  }
}

std::optional<saved_recovery> guest_row::recovery_of(messages::domain_id domain) const {
  return where_ ? saved_recovery::from(at(recovery), domain) : std::nullopt;
}

std::uint64_t saved_recovery::word(messages::domain_id domain) const {
  return head(recovery_form, domain) | static_cast<std::uint64_t>(asked ? 1 : 0) << asked_at |
         static_cast<std::uint64_t>(policy) << policy_at | machine.saved();
}

std::optional<saved_recovery> saved_recovery::from(std::uint64_t word, messages::domain_id domain) {
  const auto policy = word >> policy_at & 0xff;
  const auto machine = pci::recovery::from(static_cast<std::uint32_t>(word & ((1U << policy_at) - 1)));
  if (!has_head(word, recovery_form, domain) || policy >= policies.size() || !machine) {
    return std::nullopt;
  }
  return saved_recovery{*machine, static_cast<pci::error_policy>(policy), (word >> asked_at & 1) != 0};
}

// -- all of them

std::optional<std::size_t> guest_words::find(std::uint64_t key) const {
  const auto all = where_->all();
  for (std::size_t first = 0; first < all.size(); first += guest_row::width) {
    if (all[first + guest_row::address] == key) {
      return first;
    }
  }
  return std::nullopt;
}

guest_row guest_words::of(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  if (!where_) {
    return {};
  }
  if (const auto found = find(key_of(address))) {
    return {where_, *found};
  }
  const auto free = find(0);
  if (!free) {
    return {};
  }
  guest_row made{where_, *free};
  made.at(guest_row::state) = 0;
  made.at(guest_row::recovery) = 0;
  made.at(guest_row::address) = key_of(address);
  return made;
}

void guest_words::forget(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  if (const auto found = where_ ? find(key_of(address)) : std::nullopt) {
    where_->all()[*found + guest_row::address] = 0;
  }
}

} // namespace actors
