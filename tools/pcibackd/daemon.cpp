// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/daemon.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include "actors/control/answer.hpp"
#include "actors/control/control.hpp"
#include "actors/look/census.hpp"
#include "actors/look/metrics.hpp"
#include "tools/pcibackd/reload.hpp"
#include "tools/pcibackd/watchdog.hpp"

namespace daemon_program {
namespace {

constexpr auto overview_patience = std::chrono::seconds(10);

/// The control actor, which ends with this. On a thread of its own: an actor that hangs is to be seen.
class control {
public:
  control(actors::runtime& runtime, control_socket::answer_sink sink, actors::control_views views)
      : actor_(runtime.system().spawn<caf::detached>(actors::control_behavior, runtime.root(), std::move(sink),
                                                     std::move(views))) {}
  control(const control&) = delete;
  control& operator=(const control&) = delete;
  ~control() { caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown); }

  void take(std::uint64_t connection, std::string line) const {
    caf::anon_send(actor_, messages::request_atom_v, connection, std::move(line));
  }

private:
  messages::control_actor actor_;
};

/// Tells systemd's journal and those who watch of what happens, while it lives.
class events_to {
public:
  events_to(actors::runtime& runtime, control_socket::teller whom) : seen_(runtime.seen()) {
    seen_->events.listen([whom = std::move(whom)](const actors::event& what) {
      record_event(what);
      if (whom.wanted()) {
        whom.tell(actors::control::told(what));
      }
    });
  }
  events_to(const events_to&) = delete;
  events_to& operator=(const events_to&) = delete;
  ~events_to() { seen_->events.listen({}); }

private:
  std::shared_ptr<actors::observation> seen_;
};

void hold_configured(actors::runtime& runtime, const std::atomic<bool>& stopping) {
  for (const auto& [address, outcome] : runtime.hold_configured(stopping)) {
    if (outcome) {
      spdlog::info("{} is held", pci::to_string(address));
    } else {
      spdlog::error("{} is not held: {}", pci::to_string(address), pci::to_string(outcome.error()));
    }
  }
}

pci::resource_bounds own_bounds() {
  rlimit files{};
  return ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? pci::resource_bounds(files.rlim_cur) : pci::resource_bounds();
}

/// Holding functions, then guests: takes as long as resets take, so it has a thread beside the control socket's.
pci::result<void> begin(actors::runtime& runtime, const std::atomic<bool>& stopping, const outside& world) {
  hold_configured(runtime, stopping);
  if (stopping) {
    return {};
  }
  auto serving = runtime.serve();
  if (serving) {
    spdlog::info("serving guests");
    world.notify("READY=1");
  }
  return serving;
}

/// Asked by the control socket, with a text, or by SIGHUP.
pci::result<actors::reload_account> reloaded(reloader& live, const std::optional<std::string>& text,
                                             const std::string& name) {
  const auto what = text ? live.take(*text, name) : live.take_file();
  if (!what) {
    const auto& why = what.error();
    spdlog::error("the settings are as they were: {}", why.error == EINVAL ? why.context : pci::to_string(why));
    return tl::unexpected(why);
  }
  spdlog::info("{}", summary_of(*what));
  return actors::reload_account{what->taken, what->restart};
}

std::optional<messages::overview> overview_if_answered(actors::runtime& runtime,
                                                       std::chrono::microseconds patience = overview_patience) {
  std::optional<messages::overview> all;
  caf::scoped_actor self{runtime.system()};
  self->request(runtime.root(), patience, messages::status_atom_v)
      .receive([&](const messages::overview& is) { all = is; }, [](caf::error&) {});
  return all;
}

// Root asks all others when it is asked, but answers without one that does not; the census shows that one.
std::string silent_actor(actors::runtime& runtime, std::chrono::microseconds patience) {
  const auto answered = overview_if_answered(runtime, patience);
  const auto silent = first_silent(actors::census::all().take(runtime.system()), patience);
  return answered || !silent.empty() ? silent : "root";
}

} // namespace

messages::overview overview_of(actors::runtime& runtime) {
  return overview_if_answered(runtime).value_or(messages::overview{});
}

std::string metrics_of(actors::runtime& runtime) {
  const auto all = overview_if_answered(runtime);
  return actors::metrics_text(actors::measure_now(*runtime.seen(), runtime.system(), all ? &*all : nullptr));
}

pci::result<void> run_daemon(platform::host& host, const config::settings& settings, control_socket& socket,
                             int signals, const companion& beside, const std::function<void()>& stop_companion,
                             std::shared_ptr<platform::records> journal, const request_taker& take_first,
                             const outside& world, const reloader::adapter& adapt) {
  auto started = actors::runtime::start(host, settings, {std::move(journal), own_bounds()});
  if (!started) {
    return tl::unexpected(started.error());
  }
  auto& runtime = **started;
  const auto live = std::make_shared<reloader>(
      settings, adapt,
      [apply = runtime.reloading()](const config::settings& next) {
        set_log_level(next.level);
        apply(next);
      },
      world.read_settings);
  const control requests{
      runtime,
      socket.sink(),
      {runtime.seen(), world.threads, socket.watch(),
       [live](const std::optional<std::string>& text, const std::string& name) { return reloaded(*live, text, name); },
       recent_log, settings.file}};
  const events_to watchers{runtime, socket.news()};
  std::optional<metrics_file> exported;
  if (!settings.metrics_file.empty()) {
    exported.emplace(
        settings.metrics_file, [&runtime] { return metrics_of(runtime); }, metrics_file::interval, world.metrics);
  }
  std::optional<watchdog> watched;
  if (world.watchdog.count() > 0) {
    watched.emplace(
        world.watchdog, [&runtime](std::chrono::microseconds patience) { return silent_actor(runtime, patience); },
        [&world] { world.notify("WATCHDOG=1"); });
  }
  pci::result<void> begun;
  std::atomic<bool> stopping = false;
  std::thread worker{[&, end = socket.stopper()] {
    begun = begin(runtime, stopping, world);
    if (!begun) {
      end();
    } else if (beside && !stopping) {
      beside(runtime, end);
    }
  }};
  const auto ended = socket.serve(
      signals,
      [&](std::uint64_t connection, std::string line) {
        if (!take_first || !take_first(connection, line)) {
          requests.take(connection, std::move(line));
        }
      },
      [&live] { static_cast<void>(reloaded(*live, std::nullopt, {})); });
  stopping = true;
  world.notify("STOPPING=1");
  if (ended && *ended != 0) {
    spdlog::info("ending on signal {}; guests keep their functions and interrupts", *ended);
  }
  if (stop_companion) {
    stop_companion();
  }
  worker.join();
  return ended ? begun : tl::unexpected(ended.error());
}

} // namespace daemon_program
