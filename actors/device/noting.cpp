// SPDX-License-Identifier: GPL-2.0-or-later
// What the journal is told of a function, for the daemon that starts after this one.
#include <utility>

#include <caf/send.hpp>
#include <fmt/format.h>

#include "actors/device/device.hpp"

namespace actors {

using messages::function_state;

namespace {

using namespace std::chrono_literals;

constexpr auto journal_pause = 5s; // before what could not be written is tried again
constexpr auto note_pause = 100ms; // before that is tried for the first time

} // namespace

pci::result<void> device_state::note(bool granting) {
  const bool acknowledging = line_->enabled();
  // A guest may change its interrupts meanwhile: the journal must say last what is the case last.
  const std::lock_guard lock(noted_->mutex);
  auto what = serving_ ? serving_->record() : hardware_->record();
  what.domain = domain_ ? domain_ : what.domain;
  what.target = target_ ? target_ : what.target;
  what.granted = what.granted || granting || state() == function_state::granted;
  what.permissive = inherited_ ? inherited_->permissive : policy_.in_force().permissive;
  what.acknowledging = acknowledging;
  for (const auto& each : past_guests_) {
    what.past_guests.push_back(each.domain);
  }
  auto noted = all_->journal->note(what);
  noted_->last = std::move(what);
  if (!noted) {
    plan_note(journal_pause);
  }
  return noted;
}

serving::listeners device_state::note_changes() {
  const auto self = messages::device_actor(self_);
  serving::listeners told;
  told.interrupts_changed = [noted = noted_, journal = all_->journal, self](const function_record& now) {
    const std::lock_guard lock(noted->mutex);
    auto& last = noted->last;
    last.mode = now.mode;
    last.vectors = now.vectors;
    last.command = now.command;
    last.decoding = now.decoding;
    if (!journal->note(last)) {
      caf::anon_send(self, messages::note_atom_v, false);
    }
  };
  told.state_changed = [row = all_->journal->row(address_), domain = *domain_](const pci::guest_state& now) mutable {
    row.keep(domain, now);
  };
  told.failed = [self] { caf::anon_send_exit(self, caf::exit_reason::kill); };
  return told;
}

// One at a time: a guest can cause them.
void device_state::plan_note(platform::clock::duration delay) {
  if (!std::exchange(noting_, true)) {
    self_->delayed_send(self_, delay, messages::note_atom_v, true);
  }
}

void device_state::note_later() { plan_note(note_pause); }

void device_state::note_again() {
  noting_ = false;
  if (serving_) {
    static_cast<void>(note());
  }
  if (!all_->journal->flush()) {
    plan_note(journal_pause);
  }
}

pci::failure device_state::not_noted(std::string_view wish, const pci::failure& why) const {
  return {why.error, fmt::format("{} cannot be {}: a daemon that starts after this one would not know of it, because "
                                 "the journal cannot be written ({}); try again when it can be",
                                 pci::to_string(address_), wish, pci::to_string(why))};
}

} // namespace actors
