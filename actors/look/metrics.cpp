// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/metrics.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "actors/look/census.hpp"
#include "actors/look/exposition.hpp"
#include "pci/address.hpp"

namespace actors {
namespace {

using messages::function_state;

constexpr std::array all_states{function_state::holding, function_state::held,      function_state::granted,
                                function_state::leased,  function_state::inherited, function_state::scrubbing,
                                function_state::failed,  function_state::gone,      function_state::refused};

template <std::size_t Count>
std::array<double, Count> in_seconds(const std::array<std::chrono::nanoseconds, Count>& times) {
  std::array<double, Count> all{};
  std::transform(times.begin(), times.end(), all.begin(),
                 [](std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e9; });
  return all;
}

void write_operations(exposition& to, const operation_counts& all) {
  to.counter("operations_total", "Operations of guests that were answered, by what was asked and how it was answered.");
  for (std::size_t kind = 0; kind < operation_kinds.size(); ++kind) {
    for (std::size_t result = 0; result < operation_results.size(); ++result) {
      to.sample(all.answered[kind][result],
                {{"kind", std::string{operation_kinds[kind]}}, {"result", std::string{operation_results[result]}}});
    }
  }
  to.histogram("operation_duration_seconds",
               "Time from the event of an operation, or from when it was found in the page, until it was answered.");
  to.sample(in_seconds(operation_times), all.times, static_cast<double>(all.taken.count()) / 1e9);
}

/// One sample a function.
template <class Value>
void per_function(exposition& to, const messages::overview& all, Value value) {
  for (const auto& function : all.functions) {
    to.sample(std::uint64_t{value(function)}, {{"function", pci::to_string(function.address)}});
  }
}

void write_lines(exposition& to, const messages::overview& all) {
  to.counter("line_interrupts_acknowledged_total", "Interrupts of a shared line that dom0's handler claimed.");
  per_function(to, all, [](const auto& function) { return function.acknowledged; });
  to.counter("line_interrupts_spurious_total", "Interrupts of a line that nobody in dom0 claimed.");
  per_function(to, all, [](const auto& function) { return function.spurious; });
  to.counter("line_storms_total", "Times that a function raised too many interrupts of its line.");
  per_function(to, all, [](const auto& function) { return function.storms; });
}

void write_errors(exposition& to, const messages::overview& all) {
  to.counter("function_errors_total", "Errors (AER) that a function reported.");
  for (const auto& function : all.functions) {
    const auto address = pci::to_string(function.address);
    to.sample(function.errors.corrected, {{"function", address}, {"severity", "corrected"}});
    to.sample(function.errors.nonfatal, {{"function", address}, {"severity", "nonfatal"}});
    to.sample(function.errors.fatal, {{"function", address}, {"severity", "fatal"}});
  }
}

void write_functions(exposition& to, const messages::overview& all) {
  to.gauge("functions", "Functions by what is done with them.");
  for (const auto state : all_states) {
    const auto count =
        std::ranges::count_if(all.functions, [state](const auto& function) { return function.state == state; });
    to.sample(static_cast<std::uint64_t>(count), {{"state", std::string{messages::to_string(state)}}});
  }
  to.gauge("function_vectors", "MSI and MSI-X vectors that a function's guest has on.");
  per_function(to, all, [](const auto& function) { return function.vectors.size(); });
  to.counter("function_operations_total", "Operations of guests that reached a function.");
  per_function(to, all, [](const auto& function) { return function.operations; });
  to.counter("function_operations_refused_total", "Of these, those that were answered with an error.");
  per_function(to, all, [](const auto& function) { return function.refused; });
  write_lines(to, all);
  write_errors(to, all);
}

template <class Value>
void per_guest(exposition& to, const messages::overview& all, Value value) {
  for (const auto& domain : all.domains) {
    to.sample(std::uint64_t{value(domain)}, {{"domain", fmt::format("{}", domain.domain)}});
  }
}

void write_guests(exposition& to, const messages::overview& all) {
  to.gauge("guests", "Guests that are served.");
  to.sample(std::uint64_t{all.domains.size()});
  to.gauge("guest_connected", "1 while a guest's frontend is connected.");
  per_guest(to, all, [](const auto& domain) { return domain.connected ? 1U : 0U; });
  to.counter("guest_operations_total", "Operations that were taken from a guest's page.");
  per_guest(to, all, [](const auto& domain) { return domain.operations; });
  to.counter("guest_operations_polled_total", "Of these, those that were found without their event.");
  per_guest(to, all, [](const auto& domain) { return domain.polled; });
  to.counter("guest_events_late_total", "Answers whose event was left out until the guest was seen to wait for it.");
  per_guest(to, all, [](const auto& domain) { return domain.events_late; });
  to.counter("guest_operations_delayed_total", "Switchings of interrupts that were put off, as there were too many.");
  per_guest(to, all, [](const auto& domain) { return domain.delayed; });
  to.counter("guest_answers_late_total", "Answers that a guest had given up on.");
  per_guest(to, all, [](const auto& domain) { return domain.late; });
  to.counter("guest_events_spurious_total", "Events of a guest with nothing in its page.");
  per_guest(to, all, [](const auto& domain) { return domain.spurious; });
}

void write_scrubs(exposition& to, const scrub_meter::outcomes& all) {
  to.histogram("scrub_duration_seconds", "Time from the end of a guest's hold on a function until its scrub ended.");
  to.sample(scrub_meter::ends, all.clean.times, all.clean.taken, {{"result", "clean"}});
  to.sample(scrub_meter::ends, all.failed.times, all.failed.taken, {{"result", "failed"}});
}

void write_happenings(exposition& to, const measurements& what) {
  const auto count = [&what](happening which) { return what.happenings[static_cast<std::size_t>(which)]; };
  to.counter("adoptions_total", "Functions that were taken over from an earlier instance with their guest.");
  to.sample(count(happening::adopted));
  to.counter("refusals_total", "Functions that were not held, granted or leased, for a reason that was told.");
  to.sample(count(happening::refused));
  to.counter("events_total", "What `pcibackctl watch` tells of.");
  for (std::size_t which = 0; which < happening_names.size(); ++which) {
    to.sample(what.happenings[which], {{"event", std::string{happening_names[which]}}});
  }
}

double seconds(const std::optional<std::chrono::nanoseconds>& time) {
  return time ? std::chrono::duration<double>(*time).count() : 0;
}

/// One sample an actor, but for those that work for one command: two of these may have the same name.
template <class Value>
void per_actor(exposition& to, const std::vector<actor_account>& all, Value value) {
  for (const auto& who : all) {
    if (who.lasts) {
      to.sample(value(who), {{"kind", who.kind}, {"subject", who.subject}});
    }
  }
}

void write_actors(exposition& to, const std::vector<actor_account>& all) {
  std::map<std::string, std::uint64_t> kinds;
  for (const auto& who : all) {
    ++kinds[who.kind];
  }
  to.gauge("actors", "Actors and threads of guests, by kind.");
  for (const auto& [kind, count] : kinds) {
    to.sample(count, {{"kind", kind}});
  }
  to.gauge("actor_mailbox_messages", "Messages that an actor has not begun with.");
  per_actor(to, all, [](const auto& who) { return who.waiting; });
  to.counter("actor_messages_total", "Messages that an actor has handled.");
  per_actor(to, all, [](const auto& who) { return who.handled; });
  to.gauge("actor_oldest_work_seconds", "Age of the oldest message that an actor is not done with; 0: there is none.");
  per_actor(to, all, [](const auto& who) { return seconds(who.oldest); });
  to.gauge("actor_restarts", "Times that an actor was started again after a bug.");
  per_actor(to, all, [](const auto& who) { return std::uint64_t{who.restarts}; });
}

/// Two of the same name would be one sample twice, which Prometheus refuses: the one that is younger counts.
std::vector<actor_account> without_doubles(const std::vector<actor_account>& all) {
  std::vector<actor_account> kept;
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    const auto same = [each](const auto& other) {
      return other.lasts && other.kind == each->kind && other.subject == each->subject;
    };
    if (!each->lasts || std::ranges::none_of(kept, same)) {
      kept.push_back(*each);
    }
  }
  std::ranges::reverse(kept);
  return kept;
}

} // namespace

measurements measure_now(observation& seen, const caf::actor_system& system, const messages::overview* all) {
  measurements now;
  if (all != nullptr) {
    now.overview = *all;
  }
  now.operations = seen.operations.count();
  now.scrubs = seen.scrubs.count();
  for (std::size_t which = 0; which < happening_names.size(); ++which) {
    now.happenings[which] = seen.events.count(static_cast<happening>(which));
  }
  now.actors = census::all().take(system);
  return now;
}

std::string metrics_text(const measurements& what) {
  exposition to;
  to.gauge("build_info", "1; the version is in the label.");
  to.sample(std::uint64_t{1}, {{"version", PCIBACKD_VERSION}});
  to.gauge("answers", "1 when functions and guests could be asked for; else what tells of them is missing here.");
  to.sample(std::uint64_t{what.overview ? 1U : 0U});
  if (what.overview) {
    write_functions(to, *what.overview);
    write_guests(to, *what.overview);
  }
  write_operations(to, what.operations);
  write_scrubs(to, what.scrubs);
  write_happenings(to, what);
  write_actors(to, without_doubles(what.actors));
  return to.take();
}

} // namespace actors
