// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/runtime.hpp"

#include <cerrno>
#include <deque>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/hiding.hpp"
#include "actors/root/root.hpp"
#include "actors/xenstore/backend_nodes.hpp"

namespace actors {
namespace {

// Work sharing, because the default polls (120 µs against 12 µs for an operation, and never idle); one worker, because
// two take turns and make each hop between actors a hand-off between threads. What blocks has threads of its own.
caf::actor_system_config& configure(caf::actor_system_config& configuration) {
  configuration.set("scheduler.policy", caf::atom("sharing"));
  configuration.set("scheduler.max-threads", std::size_t{1});
  return configuration;
}

} // namespace

struct runtime::implementation {
  explicit implementation(platform::host& host) : host(host), system(configure(configuration)) {}
  ~implementation() {
    host.stop();
    if (root) {
      caf::anon_send(root, messages::stop_atom_v);
    }
    caf::anon_send_exit(store_worker, caf::exit_reason::user_shutdown);
    root = messages::root_actor{};
    events.set_root(messages::root_actor{});
    everybody.reset();
  }

  platform::host& host;
  pump events;
  caf::actor_system_config configuration;
  caf::actor_system system;
  messages::worker_actor store_worker;
  environment_ptr everybody;
  messages::root_actor root;
};

runtime::runtime(std::unique_ptr<implementation> all) : all_(std::move(all)) {}

runtime::~runtime() = default;

pci::result<std::unique_ptr<runtime>> runtime::start(platform::host& host, settings settings, process_means with) {
  auto all = std::make_unique<implementation>(host);
  all->store_worker = all->system.spawn<caf::detached>(worker, "xenstore");
  auto kept = std::make_shared<journal>(with.journal);
  auto resets = std::make_shared<reset_memory>(with.journal, host.pci().boot_id());
  auto everybody = std::make_shared<environment>(
      environment{host, std::move(settings), all->events, all->store_worker, true, std::move(kept)});
  everybody->resets = std::move(resets);
  everybody->bounds = with.bounds;
  all->everybody = std::move(everybody);
  all->root = all->system.spawn(actors::root, all->everybody);
  all->events.set_root(all->root);
  if (auto started = host.start(all->events); !started) {
    return tl::unexpected(started.error());
  }
  return std::unique_ptr<runtime>(new runtime(std::move(all)));
}

pci::result<void> runtime::serve() {
  auto& store = all_->host.xenstore();
  if (auto watched = pump::watch(store); !watched) {
    return watched;
  }
  // Guests that were there before: the watch tells of changes only.
  const auto before = list_backends(store);
  for (const auto domain : before.value_or(std::vector<messages::domain_id>{})) {
    caf::anon_send(all_->root, messages::changed_atom_v, domain);
  }
  return before ? pci::result<void>{} : tl::unexpected(before.error());
}

caf::actor_system& runtime::system() { return all_->system; }

const messages::root_actor& runtime::root() const { return all_->root; }

const std::shared_ptr<observation>& runtime::seen() const { return all_->everybody->seen; }

std::function<void(settings)> runtime::reloading() const {
  return [live = all_->everybody->configuration, root = all_->root](settings next) {
    live.set(std::move(next));
    caf::anon_send(root, messages::reload_atom_v);
  };
}

std::vector<std::pair<pci::sbdf, pci::result<void>>> runtime::hold_configured(const std::atomic<bool>& stopping) {
  std::vector<std::pair<pci::sbdf, pci::result<void>>> outcomes;
  caf::scoped_actor self{all_->system};
  auto restored = self->request(all_->root, caf::infinite, messages::restore_atom_v);
  caf::anon_send(all_->root, messages::adopt_atom_v);
  restored.receive([] {}, [](caf::error&) {});
  // Side by side, for each is reset, and its card takes its time; so many at once that threads stay few.
  constexpr std::size_t at_once = 32;
  using answer = decltype(self->request(all_->root, caf::infinite, messages::hold_atom_v, pci::sbdf{}, false));
  std::deque<std::pair<pci::sbdf, answer>> begun;
  const auto finish_first = [&] {
    auto& [address, answered] = begun.front();
    pci::result<void> outcome;
    answered.receive([] {},
                     [&](caf::error& error) {
                       outcome = tl::unexpected(messages::to_failure(error, "the function's actor ended"));
                     });
    // One that the journal had, or that has appeared meanwhile, is held already.
    if (outcome || outcome.error().error != EEXIST) {
      outcomes.emplace_back(address, std::move(outcome));
    }
    begun.pop_front();
  };
  for (const auto& [address, seize] : functions_to_hold(all_->host, *all_->everybody->configuration.now())) {
    if (stopping) {
      break;
    }
    begun.emplace_back(address, self->request(all_->root, caf::infinite, messages::hold_atom_v, address, seize));
    if (begun.size() == at_once) {
      finish_first();
    }
  }
  while (!begun.empty()) {
    finish_first();
  }
  return outcomes;
}

} // namespace actors
