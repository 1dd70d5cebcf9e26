// SPDX-License-Identifier: GPL-2.0-or-later
// Each look below is at one thing that can stand in the way; the first that finds something has the word.
#include "actors/control/verdict.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "actors/control/verdict_looks.hpp"

namespace actors::control {

using messages::function_state;

namespace verdicts {

std::string quoted(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) {
    return word;
  }
  std::string text = "'";
  for (const char c : word) {
    text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  }
  return text + "'";
}

std::string name_of(const account& what) { return pci::to_string(what.address); }

bool is_held(const account& what) {
  return what.status && what.status->state != function_state::refused && what.status->state != function_state::gone;
}
bool is_in(const account& what, function_state state) { return what.status && what.status->state == state; }

std::string words_of(const account& what) {
  if (what.guest && !what.guest->words.empty()) {
    return what.guest->words;
  }
  if (what.status && what.status->domain) {
    return what.status->guest.empty() ? fmt::format("domain {}", *what.status->domain) : what.status->guest;
  }
  return what.assigned ? fmt::format("\"{}\"", what.assigned->guest) : std::string{"a guest"};
}

std::string xl_name(const account& what) {
  if (what.guest && !what.guest->name.empty()) {
    return quoted(what.guest->name);
  }
  return what.status && what.status->domain ? fmt::format("{}", *what.status->domain) : std::string{"GUEST"};
}

std::string detail_of(const account& what) {
  return what.status->detail.empty() ? std::string{} : ": " + what.status->detail;
}

std::string last_trouble(const account& what) {
  return what.troubles.empty() ? std::string{} : ": " + what.troubles.back().what;
}

} // namespace verdicts

namespace {

using verdicts::account;

// The looks after `condition` are at a function that is held and whole.
constexpr std::array looks{verdicts::absence,     verdicts::objection,   verdicts::translation,     verdicts::holding,
                           verdicts::condition,   verdicts::reservation, verdicts::reserved_memory, verdicts::pages,
                           verdicts::passthrough, verdicts::assignment,  verdicts::freedom,         verdicts::ownership,
                           verdicts::life,        verdicts::connection,  verdicts::vectors,         verdicts::errors,
                           verdicts::line,        verdicts::use};

verdict verdict_of_guest(const messages::explanation& all) {
  if (all.guest && !all.nearest.empty() && !all.misassigned.empty()) {
    return {
        verdict_kind::no_guest,
        fmt::format("no [[assign]] names {}; one names \"{}\", which does not run: correct its domain if \"{}\" is "
                    "meant",
                    all.guest->words, all.nearest, all.asked),
        fmt::format("pcibackctl attach {} {}", verdicts::quoted(all.asked), pci::to_string(all.misassigned.front()))};
  }
  return {verdict_kind::not_assigned,
          fmt::format("{} has no function, and no [[assign]] names it",
                      all.guest ? all.guest->words : fmt::format("\"{}\"", all.asked)),
          fmt::format("pcibackctl attach {} BDF", verdicts::quoted(all.asked))};
}

} // namespace

std::string_view to_string(verdict_kind kind) {
  constexpr std::array<std::string_view, 30> words{
      "absent",      "removed",        "wrong-pin",    "must-not",        "no-iommu",      "not-held",
      "failed",      "inherited",      "no-guest",     "reserved-memory", "shared-page",   "no-passthrough",
      "not-given",   "reserved",       "ended",        "paused",          "backend-error", "frontend-error",
      "no-frontend", "no-vectors",     "unrecovered",  "storm",           "untouched",     "no-driver",
      "waits",       "refused-writes", "not-assigned", "dom0s",           "free",          "works"};
  static_assert(words.size() == static_cast<std::size_t>(verdict_kind::works) + 1);
  return words.at(static_cast<std::size_t>(kind));
}

verdict verdict_of(const account& function) {
  for (const auto look : looks) {
    if (auto verdict = look(function)) {
      return *std::move(verdict);
    }
  }
  return {}; // not reached: `use` always has a word
}

verdict verdict_of(const messages::explanation& all) {
  if (all.functions.empty()) {
    return verdict_of_guest(all);
  }
  std::optional<verdict> worst;
  for (const auto& each : all.functions) {
    auto own = verdict_of(each);
    if (!worst || own.kind < worst->kind) {
      worst = std::move(own);
    }
  }
  return *std::move(worst);
}

} // namespace actors::control
