// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/control.hpp"

#include <cerrno>
#include <chrono>

#include <spdlog/spdlog.h>

#include "actors/control/answer.hpp"
#include "actors/jobs.hpp"
#include "actors/look/metrics.hpp"
#include "messages/errors.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

// A reset may take a minute, and a guest has its patience to let go of a function: longer than both together.
constexpr auto longest_wait = 120s;
// Root waits for 2 s for each function and guest. What else is measured is told without them.
constexpr auto patience_with_measured = 3s;
// What a trace that is not asked for costs is little, and soon over.
constexpr auto patience_with_tracer = 5s;

template <class... Cases>
struct overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
overloaded(Cases...) -> overloaded<Cases...>;

} // namespace

void control_state::open(messages::root_actor root, answer_sink sink, control_views views) {
  views_ = std::move(views);
  root_ = std::move(root);
  sink_ = std::move(sink);
  self_->monitor(root_);
}

void control_state::down(const caf::down_msg& down) {
  if (down.source == root_.address()) {
    self_->quit();
  }
}

template <class Whom, class Answer, class... Words>
void control_state::ask_of(const Whom& whom, std::uint64_t connection, const control::request_id& id, Answer answer,
                           Words&&... words) {
  self_->request(whom, longest_wait, std::forward<Words>(words)...)
      .then(answer, [this, connection, id](caf::error& why) {
        auto what = messages::to_failure(why, "the daemon did not finish it");
        spdlog::debug("control connection {}: {}", connection, pci::to_string(what));
        sink_(connection, control::failed(id, what));
      });
}

template <class Answer, class... Words>
void control_state::ask(std::uint64_t connection, const control::request_id& id, Answer answer, Words&&... words) {
  ask_of(root_, connection, id, std::move(answer), std::forward<Words>(words)...);
}

template <class Answer, class... Words>
void control_state::ask_device(const pci::sbdf& address, std::uint64_t connection, const control::request_id& id,
                               Answer answer, Words... words) {
  ask(
      connection, id,
      [this, connection, id, answer = std::move(answer), words...](const messages::device_actor& device) {
        ask_of(device, connection, id, answer, words...);
      },
      messages::find_atom_v, address);
}

template <class Answer, class Atom, class... Words>
void control_state::ask_about(const messages::domain_name& guest, std::uint64_t connection,
                              const control::request_id& id, Answer answer, Atom what, Words... words) {
  ask(
      connection, id,
      [this, connection, id, answer = std::move(answer), what, words...](messages::domain_id domain) {
        ask(connection, id, answer, what, domain, words...);
      },
      messages::find_atom_v, guest);
}

// Of a daemon that hangs too: nobody is asked.
void control_state::look(std::uint64_t connection, const control::request_id& id) {
  sink_(connection, control::looked_at(id, census::all().take(self_->home_system()),
                                       views_.threads ? views_.threads() : std::vector<thread_account>{}));
}

void control_state::measure(std::uint64_t connection, const control::request_id& id) {
  const auto answer = [this, connection, id](const messages::overview* all) {
    sink_(connection, control::measured(id, metrics_text(measure_now(*views_.seen, self_->home_system(), all))));
  };
  self_->request(root_, patience_with_measured, messages::status_atom_v)
      .then([answer](const messages::overview& all) { answer(&all); }, [answer](caf::error&) { answer(nullptr); });
}

void control_state::watch(std::uint64_t connection, const control::request_id& id) {
  (views_.watch ? views_.watch : sink_)(connection, control::done(id));
}

// -- what guests ask for

void control_state::trace(std::uint64_t connection, const control::request_id& id, const control::trace& what) {
  auto& traces = views_.seen->traces;
  if (what.end) {
    traces.end(connection);
    return sink_(connection, control::done(id));
  }
  const auto batch = traces.take(connection, {what.address, what.guest ? what.guest->text : std::string{}});
  if (!batch) {
    return sink_(connection, control::failed(id, batch.error()));
  }
  if (traces_.insert_or_assign(connection, self_->clock().now()).second) {
    self_->delayed_send(self_, patience_with_tracer, messages::again_atom_v, connection);
  }
  sink_(connection, control::traced(id, *batch));
}

// One that has gone, or does not ask: its guests' threads have nothing more to tell.
void control_state::look_at_trace(std::uint64_t connection) {
  const auto found = traces_.find(connection);
  if (found == traces_.end()) {
    return;
  }
  if (self_->clock().now() - found->second < patience_with_tracer) {
    self_->delayed_send(self_, patience_with_tracer, messages::again_atom_v, connection);
    return;
  }
  traces_.erase(found);
  views_.seen->traces.end(connection);
}

// -- the daemon's own

void control_state::reload(std::uint64_t connection, const control::request_id& id, const control::reload& what) {
  const auto done = views_.reload ? views_.reload(what.text, what.name)
                                  : pci::result<reload_account>{pci::fail(ENOTSUP, "this daemon takes no settings")};
  sink_(connection, done ? control::reloaded(id, done->taken, done->restart) : control::failed(id, done.error()));
}

void control_state::recall(std::uint64_t connection, const control::request_id& id) {
  sink_(connection,
        control::recalled(id, views_.seen->events.recent(), views_.log ? views_.log() : std::vector<std::string>{}));
}

void control_state::carry_out(std::uint64_t connection, control::request what) {
  const auto& id = what.id;
  const auto done = [this, connection, id] { sink_(connection, control::done(id)); };
  const auto attached = [this, connection, id](const pci::sbdf& virtual_address) {
    sink_(connection, control::attached(id, virtual_address));
  };
  const auto listed = [this, connection, id](const messages::overview& all) {
    sink_(connection, control::listed(id, all));
  };
  const auto accounted = [this, connection, id](const messages::register_account& of) {
    sink_(connection, control::accounted(id, of));
  };
  std::visit(
      overloaded{
          [&](const control::hold& is) { ask(connection, id, done, messages::hold_atom_v, is.address, is.seize); },
          [&](const control::release& is) {
            ask(connection, id, done, messages::release_atom_v, is.address, is.probe);
          },
          [&](const control::retry& is) { ask_device(is.address, connection, id, done, messages::retry_atom_v); },
          [&](const control::attach& is) {
            ask_about(is.domain, connection, id, attached, messages::attach_atom_v, is.address, is.how);
          },
          [&](const control::detach& is) {
            ask_about(is.domain, connection, id, done, messages::detach_atom_v, is.address);
          },
          [&](const control::drain& is) {
            if (const auto* guest = std::get_if<messages::domain_name>(&is.what)) {
              ask_about(*guest, connection, id, done, messages::drain_atom_v);
            } else {
              ask(connection, id, done, messages::drain_atom_v, std::get<pci::sbdf>(is.what));
            }
          },
          [&](const control::acknowledge& is) {
            ask_device(is.address, connection, id, done, messages::acknowledge_atom_v, is.on);
          },
          [&](const control::change& is) {
            ask_device(is.address, connection, id, done, messages::policy_atom_v, is.what);
          },
          [&](const control::registers& is) {
            ask_device(is.address, connection, id, accounted, messages::registers_atom_v);
          },
          [&](const control::list&) { ask(connection, id, listed, messages::list_atom_v); },
          [&](const control::explain& is) {
            const auto explained = [this, connection, id](const messages::explanation& all) {
              sink_(connection, control::explained(id, all));
            };
            std::visit([&](const auto& whose) { ask(connection, id, explained, messages::explain_atom_v, whose); },
                       is.what);
          },
          [&](const control::look&) { look(connection, id); },
          [&](const control::metrics&) { measure(connection, id); },
          [&](const control::watch&) { watch(connection, id); },
          [&](const control::configuration& is) {
            const auto configured = [this, connection, id](const messages::config_account& of) {
              sink_(connection, control::configured(id, of));
            };
            ask_device(is.address, connection, id, configured, messages::config_atom_v);
          },
          [&](const control::trace& is) { trace(connection, id, is); },
          [&](const control::reload& is) { reload(connection, id, is); },
          [&](const control::recent&) { recall(connection, id); },
          [&](const control::version&) { sink_(connection, control::version_of(id, views_.settings_file)); },
      },
      what.what);
}

void control_state::take(std::uint64_t connection, const std::string& line) {
  auto what = control::parse_request(line);
  if (what) {
    carry_out(connection, std::move(*what));
  } else {
    sink_(connection, control::refused(what.error()));
  }
}

messages::control_actor::behavior_type control_behavior(control_state::self_pointer self, messages::root_actor root,
                                                        answer_sink sink, control_views views) {
  behave(self);
  self->seen().is("control");
  auto* state = &self->state;
  state->open(std::move(root), std::move(sink), std::move(views));
  self->set_down_handler([state](caf::down_msg& down) { state->down(down); });
  return {
      [state](messages::request_atom, std::uint64_t connection, const std::string& line) {
        state->take(connection, line);
      },
      [state](messages::again_atom, std::uint64_t connection) { state->look_at_trace(connection); },
  };
}

} // namespace actors
