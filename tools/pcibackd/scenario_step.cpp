// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/scenario_step.hpp"

#include <chrono>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>

#include "messages/errors.hpp"

namespace daemon_program {
namespace {

using config::simulation_action;

constexpr auto longest_step = std::chrono::seconds(120); // as for a request of the control socket

/// Asks root one thing, tells how it went, and ends.
struct step {
  caf::event_based_actor* self;
  messages::root_actor root;
  std::string name;
  std::function<void(const std::string&)> report;

  template <class Whom, class Answer, class... Words>
  void ask_of(const Whom& whom, Answer answer, Words&&... words) const {
    self->request(whom, longest_step, std::forward<Words>(words)...)
        .then(answer, [name = name, report = report](caf::error& why) {
          const auto what = messages::to_failure(why, "the daemon did not finish it");
          report(fmt::format("{}: {}", name, what.context));
        });
  }
  template <class Answer, class... Words>
  void ask(Answer answer, Words&&... words) const {
    ask_of(root, std::move(answer), std::forward<Words>(words)...);
  }
  /// Asks the actor of a held function.
  template <class... Words>
  void ask_device(const pci::sbdf& address, Words... words) const {
    ask([now = *this, words...](const messages::device_actor& device) { now.ask_of(device, now.done(), words...); },
        messages::find_atom_v, address);
  }
  /// Asks root what concerns a guest.
  template <class Answer, class Atom, class... Words>
  void ask_about(const std::string& guest, Answer answer, Atom what, Words... words) const {
    ask([now = *this, answer, what, words...](messages::domain_id domain) { now.ask(answer, what, domain, words...); },
        messages::find_atom_v, messages::domain_name{guest});
  }
  [[nodiscard]] auto done() const {
    return [name = name, report = report] { report(name + ": done"); };
  }
  [[nodiscard]] auto seen() const {
    return [name = name, report = report](const pci::sbdf& where) {
      report(fmt::format("{}: done, the guest sees it at {}", name, pci::to_string(where)));
    };
  }
};

void carry_out_step(const step& it, const config::simulation_command& what) {
  const auto address = what.function.value_or(pci::sbdf{});
  switch (what.action) {
  case simulation_action::hold:
    return it.ask(it.done(), messages::hold_atom_v, address, true);
  case simulation_action::release:
    return it.ask(it.done(), messages::release_atom_v, address, true);
  case simulation_action::retry:
    return it.ask_device(address, messages::retry_atom_v);
  case simulation_action::attach:
    return it.ask_about(what.guest, it.seen(), messages::attach_atom_v, address);
  case simulation_action::detach:
    return it.ask_about(what.guest, it.done(), messages::detach_atom_v, address);
  case simulation_action::drain:
    return what.function ? it.ask(it.done(), messages::drain_atom_v, address)
                         : it.ask_about(what.guest, it.done(), messages::drain_atom_v);
  default:
    return it.report(fmt::format("{} is not the administrator's", it.name));
  }
}

} // namespace

void administer(actors::runtime& runtime, const config::simulation_command& what,
                std::function<void(const std::string& line)> report) {
  runtime.system().spawn([root = runtime.root(), what, report = std::move(report)](caf::event_based_actor* self) {
    carry_out_step({self, root, to_string(what), report}, what);
  });
}

} // namespace daemon_program
