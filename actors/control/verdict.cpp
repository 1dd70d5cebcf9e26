// SPDX-License-Identifier: GPL-2.0-or-later
// Each look below is at one thing that can stand in the way; the first that finds something has the word.
#include "actors/control/verdict.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "platform/pci_host.hpp"

namespace actors::control {
namespace {

using account = messages::function_account;
using found = std::optional<verdict>;
using messages::function_state;
using pci::xenbus_state;

constexpr std::size_t most_mates = 4;
constexpr const char* restart = "systemctl restart pcibackd";

/// A word that a shell takes for one.
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

/// As xl takes it.
std::string xl_name(const account& what) {
  if (what.guest && !what.guest->name.empty()) {
    return quoted(what.guest->name);
  }
  return what.status && what.status->domain ? fmt::format("{}", *what.status->domain) : std::string{"GUEST"};
}

std::string detail_of(const account& what) {
  return what.status->detail.empty() ? std::string{} : ": " + what.status->detail;
}

// -- the host and the settings

found absence(const account& what) {
  if (is_in(what, function_state::gone)) {
    return verdict{verdict_kind::removed, fmt::format("{} was removed from the host", name_of(what)),
                   "echo 1 > /sys/bus/pci/rescan"};
  }
  if (what.there || is_held(what)) {
    return {};
  }
  std::vector<std::string> mates;
  for (const auto& each : what.slot_mates) {
    if (mates.size() < most_mates) {
      mates.push_back(pci::to_string(each.address));
    }
  }
  auto text = fmt::format("the host has no function at {}", name_of(what));
  if (!mates.empty()) {
    text += fmt::format(" (on its bus: {})", fmt::join(mates, ", "));
  }
  if (what.configured || what.assigned) {
    text += fmt::format("; correct the address in its {} to one that the host has",
                        what.assigned ? "[[assign]]" : "[[device]]");
  }
  return verdict{verdict_kind::absent, text, "lspci -D"};
}

found objection(const account& what) {
  if (is_held(what)) {
    return {};
  }
  if (!what.pin_mismatch.empty()) {
    return verdict{verdict_kind::wrong_pin,
                   fmt::format("another card than the pinned one is at {}: {}; if it is meant, correct pin in its "
                               "[[device]], then restart pcibackd",
                               name_of(what), what.pin_mismatch),
                   restart};
  }
  if (!what.objection.empty()) {
    return verdict{verdict_kind::must_not, fmt::format("{} must not be held: {}", name_of(what), what.objection),
                   fmt::format("pcibackctl hold {}", name_of(what))};
  }
  return {};
}

found holding(const account& what) {
  if (is_held(what)) {
    return {};
  }
  const bool driven = !what.driver.empty() && !platform::is_holder(what.driver);
  auto text = driven ? fmt::format("{} is not held: dom0's driver {} has it", name_of(what), what.driver)
                     : fmt::format("{} is not held", name_of(what));
  if (!driven && !what.troubles.empty()) {
    text += ": " + what.troubles.back().what;
  }
  if (what.assigned) {
    text += fmt::format(", so \"{}\" cannot get it", what.assigned->guest);
  }
  const bool wanted = what.hold || what.assigned;
  if (wanted && driven && !what.seize) {
    text += "; seize = true in a [[device]] for it takes it at each start";
  } else if (wanted && !what.hold) {
    text += "; a [[device]] for it holds it at each start";
  }
  return verdict{wanted ? verdict_kind::not_held : verdict_kind::dom0s, text,
                 fmt::format("pcibackctl hold {}{}", name_of(what), driven ? " --seize" : "")};
}

// -- the function's own state

found condition(const account& what) {
  switch (what.status->state) {
  case function_state::failed:
    return verdict{
        verdict_kind::failed,
        fmt::format("{} could not be shown to be clean, and goes to nobody{}", name_of(what), detail_of(what)),
        fmt::format("pcibackctl retry {}", name_of(what))};
  case function_state::inherited:
    return verdict{verdict_kind::inherited,
                   fmt::format("{} has {} from an earlier pcibackd, and this one does not serve it", words_of(what),
                               name_of(what)),
                   fmt::format("pcibackctl drain {}", name_of(what))};
  case function_state::holding:
  case function_state::scrubbing:
    return verdict{verdict_kind::waits,
                   fmt::format("{} is {}{}; it takes a minute at most", name_of(what),
                               messages::to_string(what.status->state), detail_of(what)),
                   fmt::format("pcibackctl explain {}", name_of(what))};
  default:
    return {};
  }
}

// -- held, and nobody's

found reservation(const account& what) {
  if (!is_in(what, function_state::held) || !what.status->reserved || what.status->last_guests.empty()) {
    return {};
  }
  return verdict{verdict_kind::reserved,
                 fmt::format("{} is clean, but goes to nobody else before its last guest has ended{}", name_of(what),
                             detail_of(what)),
                 fmt::format("xl shutdown {}", what.status->last_guests.front())};
}

found assignment(const account& what) {
  if (!is_in(what, function_state::held) || !what.assigned) {
    return {};
  }
  const auto& to = *what.assigned;
  if (!to.domain && !to.nearest.empty()) {
    return verdict{
        verdict_kind::no_guest,
        fmt::format("{} is assigned to \"{}\", and no guest of that name or UUID runs: correct domain in its "
                    "[[assign]] if \"{}\" is meant",
                    name_of(what), to.guest, to.nearest),
        fmt::format("pcibackctl attach {} {}", quoted(to.nearest), name_of(what))};
  }
  if (!to.domain) {
    return verdict{
        verdict_kind::no_guest,
        fmt::format("{} is ready for \"{}\", and no guest of that name or UUID runs", name_of(what), to.guest),
        "xl list"};
  }
  if (what.guest && what.guest->pvh) {
    return verdict{verdict_kind::not_given,
                   fmt::format("{} is a PVH guest, and Xen gives those no functions", words_of(what)), "xl list"};
  }
  const bool by_xl = what.guest && what.guest->hvm;
  return verdict{verdict_kind::not_given,
                 fmt::format("{} runs, and has not got {}{}", words_of(what), name_of(what),
                             what.troubles.empty() ? std::string{} : ": " + what.troubles.back().what),
                 fmt::format("{} {} {}", by_xl ? "pcibackd-with-sysfs xl pci-attach" : "pcibackctl attach",
                             xl_name(what), name_of(what))};
}

found freedom(const account& what) {
  if (!is_in(what, function_state::held)) {
    return {};
  }
  return verdict{verdict_kind::free, fmt::format("{} is held, clean, and no guest has it", name_of(what)),
                 fmt::format("pcibackctl attach GUEST {}", name_of(what))};
}

// -- a guest's

found ownership(const account& what) {
  const auto owner = what.status->domain;
  if (!what.assigned || !owner || what.assigned->domain == owner ||
      (what.assigned->domain && what.assigned->domain == what.status->target)) {
    return {};
  }
  return verdict{
      verdict_kind::not_given,
      fmt::format("{} has {}, which is assigned to \"{}\"", words_of(what), name_of(what), what.assigned->guest),
      fmt::format("pcibackctl drain {}", name_of(what))};
}

found life(const account& what) {
  if (!what.guest) {
    return {};
  }
  if (what.guest->ended) {
    return verdict{verdict_kind::ended,
                   fmt::format("{} has shut down, and still has {}", words_of(what), name_of(what)),
                   fmt::format("xl destroy {}", xl_name(what))};
  }
  if (what.guest->paused) {
    return verdict{verdict_kind::paused, fmt::format("{} is paused, so its driver does nothing", words_of(what)),
                   fmt::format("xl unpause {}", xl_name(what))};
  }
  return {};
}

found connection(const account& what) {
  if (!what.guest || what.guest->hvm) {
    return {};
  }
  if (what.guest->served && !what.guest->served->frontend_error.empty()) {
    return verdict{verdict_kind::frontend_error,
                   fmt::format("the PCI frontend of {} says: {}", words_of(what), what.guest->served->frontend_error),
                   fmt::format("xl console {}", xl_name(what))};
  }
  if (what.guest->served && what.guest->served->connected) {
    return {};
  }
  if (!what.guest->backend_error.empty()) {
    return verdict{verdict_kind::backend_error,
                   fmt::format("{} is not served: {}", words_of(what), what.guest->backend_error),
                   fmt::format("pcibackctl drain {}", xl_name(what))};
  }
  const auto frontend = what.guest->served ? what.guest->served->frontend : xenbus_state::unknown;
  if (frontend == xenbus_state::unknown || frontend == xenbus_state::initialising || frontend == xenbus_state::closed) {
    return verdict{verdict_kind::no_frontend,
                   fmt::format("{} has {}, but no PCI frontend of it answers: its kernel needs xen-pcifront "
                               "(CONFIG_XEN_PCIDEV_FRONTEND), or has not got that far",
                               words_of(what), name_of(what)),
                   fmt::format("xl console {}", xl_name(what))};
  }
  return verdict{verdict_kind::waits,
                 fmt::format("{} is connecting (backend {}, frontend {})", words_of(what),
                             pci::to_string(what.guest->served->backend), pci::to_string(frontend)),
                 fmt::format("pcibackctl explain {}", name_of(what))};
}

found vectors(const account& what) {
  if (!what.guest || !what.status->vectors.empty() || what.guest->vector_limit == 0 ||
      what.guest->vectors < what.guest->vector_limit) {
    return {};
  }
  return verdict{verdict_kind::no_vectors,
                 fmt::format("{} uses all {} interrupt vectors that Xen gives a guest, and none is left for {}; put "
                             "extra_guest_irqs={} on Xen's command line and restart the host",
                             words_of(what), what.guest->vector_limit, name_of(what), 4 * what.guest->vector_limit),
                 "xl dmesg | grep -i 'command line'"};
}

found errors(const account& what) {
  if (what.status->errors.failed == 0) {
    return {};
  }
  return verdict{verdict_kind::unrecovered,
                 fmt::format("{} reported an error from which {} did not recover{}", name_of(what), words_of(what),
                             what.status->errors.last.empty() ? std::string{} : ": " + what.status->errors.last),
                 fmt::format("pcibackctl drain {}", name_of(what))};
}

found line(const account& what) {
  if (!what.status->storm && what.status->danger == pci::line_danger::none) {
    return {};
  }
  return verdict{
      verdict_kind::storm,
      what.status->storm
          ? fmt::format("{} raises too many interrupts on line {}, which are let through with pauses", name_of(what),
                        what.status->gsi)
          : fmt::format("dom0's kernel may give up interrupt line {}, which {} uses", what.status->gsi, name_of(what)),
      "pcibackctl lines"};
}

found use(const account& what) {
  if (what.status->operations == 0 && !(what.guest && what.guest->hvm)) {
    return verdict{verdict_kind::untouched,
                   fmt::format("{} has {}, and nothing in it has looked at it yet: its kernel needs the card's driver",
                               words_of(what), name_of(what)),
                   fmt::format("xl console {}", xl_name(what))};
  }
  const auto works = fmt::format("{} has {}, and it works", words_of(what), name_of(what));
  if (what.status->refused_writes != 0) {
    return verdict{verdict_kind::refused_writes,
                   fmt::format("{}; {} of the guest's writes did not get through", works, what.status->refused_writes),
                   fmt::format("pcibackctl writes {}", name_of(what))};
  }
  return verdict{verdict_kind::works, works, ""};
}

// The looks after `condition` are at a function that is held and whole.
constexpr std::array looks{absence,   objection, holding,    condition, reservation, assignment, freedom,
                           ownership, life,      connection, vectors,   errors,      line,       use};

verdict verdict_of_guest(const messages::explanation& all) {
  if (all.guest && !all.nearest.empty() && !all.misassigned.empty()) {
    return {verdict_kind::no_guest,
            fmt::format("no [[assign]] names {}; one names \"{}\", which does not run: correct its domain if \"{}\" is "
                        "meant",
                        all.guest->words, all.nearest, all.asked),
            fmt::format("pcibackctl attach {} {}", quoted(all.asked), pci::to_string(all.misassigned.front()))};
  }
  return {verdict_kind::not_assigned,
          fmt::format("{} has no function, and no [[assign]] names it",
                      all.guest ? all.guest->words : fmt::format("\"{}\"", all.asked)),
          fmt::format("pcibackctl attach {} BDF", quoted(all.asked))};
}

} // namespace

std::string_view to_string(verdict_kind kind) {
  constexpr std::array<std::string_view, 25> words{
      "absent",       "removed",    "wrong-pin",   "must-not", "not-held",  "failed",        "inherited",
      "no-guest",     "not-given",  "reserved",    "ended",    "paused",    "backend-error", "frontend-error",
      "no-frontend",  "no-vectors", "unrecovered", "storm",    "untouched", "waits",         "refused-writes",
      "not-assigned", "dom0s",      "free",        "works"};
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
