// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/guest_server.hpp"

#include <utility>

#include <caf/send.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/environment.hpp"

namespace actors {

guest_server::guest_server(std::shared_ptr<connection> guest, messages::domain_actor owner, std::uint64_t number,
                           std::shared_ptr<guest_limits> limits, const platform::clock& time)
    : guest_(std::move(guest)), owner_(std::move(owner)), number_(number), limits_(std::move(limits)), time_(time) {}

// -- the end

bool guest_server::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  stopped_.notify_all();
  if (guest_) {
    guest_->wake();
  }
  return !gone_;
}

void guest_server::let_go() {
  later_.reset();
  std::shared_ptr<connection> last;
  {
    const std::lock_guard lock(mutex_);
    last.swap(guest_);
  }
  last.reset(); // not under the lock: it may take its time to unmap the page
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
  }
  caf::anon_send(owner_, messages::unmapped_atom_v, number_);
  owner_ = messages::domain_actor{};
}

// -- serving

void guest_server::run() {
  while (!stopping_) {
    rest();
    if (!handle_next()) {
      break;
    }
  }
  let_go();
}

bool guest_server::step() {
  if (resume_at_) {
    if (time_.now() < *resume_at_) {
      return false;
    }
    const bool serves = later_.has_value();
    resume();
    if (serves) {
      return true;
    }
  }
  const auto fired = guest_->wait();
  if (!fired || !*fired) {
    return false;
  }
  handle();
  return true;
}

// False: there will be no other.
bool guest_server::handle_next() {
  const auto fired = stopping_ ? pci::result<bool>(false) : guest_->wait();
  if (!fired) {
    // Unlimited: once a connection.
    spdlog::critical("a guest's event channel is lost ({}): the guest is not served until it connects again",
                     pci::to_string(fired.error()));
    return false;
  }
  if (*fired && !stopping_) {
    handle();
  }
  return true;
}

void guest_server::handle() {
  auto work = guest_->take();
  if (!put_off(work)) {
    serve(std::move(work));
  }
}

void guest_server::serve(std::optional<connection::operation> work) try {
  switch (guest_->serve(work)) {
  case connection::event::operation:
    backoff_.worked();
    break;
  case connection::event::answer:
    backoff_.worked();
    caf::anon_send(owner_, messages::kick_atom_v);
    break;
  case connection::event::nothing:
    resume_at_ = time_.now() + backoff_.spurious();
    break;
  case connection::event::unbound:
    break;
  }
} catch (const std::exception& what) {
  // Unlimited: its actor ends.
  spdlog::critical("serving a guest failed: {}; this is a bug", what.what());
  caf::anon_send_exit(owner_, caf::exit_reason::kill);
}

// -- letting it wait

bool guest_server::put_off(std::optional<connection::operation>& work) {
  if (!work || !work->function || work->is_access()) {
    return false;
  }
  const auto pause = limits_->pause_before_interrupts(work->what.what.entries.size());
  if (pause == pause.zero()) {
    return false;
  }
  guest_->put_off();
  later_ = std::move(work);
  resume_at_ = time_.now() + pause;
  return true;
}

// Until the time has come, or `stop`.
void guest_server::rest() {
  while (resume_at_ && !stopping_) {
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, *resume_at_ - time_.now(), [this] { return stopping_.load(); });
    lock.unlock();
    if (!stopping_) {
      resume();
    }
  }
}

void guest_server::resume() {
  resume_at_.reset();
  if (auto work = std::exchange(later_, std::nullopt)) {
    serve(std::move(work));
  } else {
    guest_->unmask();
  }
}

// -- all of them

std::shared_ptr<guest_servers> make_guest_servers(bool threads) { return std::make_shared<guest_servers>(threads); }

guest_servers::~guest_servers() {
  const std::lock_guard lock(mutex_);
  for (auto& each : all_) {
    static_cast<void>(each.server->stop());
  }
  all_.clear();
}

pci::result<void> guest_servers::start(std::shared_ptr<guest_server> server, messages::domain_id domain) {
  const std::lock_guard lock(mutex_);
  reap();
  auto ended = std::make_shared<std::atomic<bool>>(false);
  if (!threads_) {
    all_.push_back({std::move(server), std::move(ended), std::nullopt});
    return {};
  }
  auto thread = guest_thread::start(fmt::format("guest-{}", domain), [server, ended] {
    server->run();
    *ended = true;
  });
  if (!thread) {
    return tl::unexpected(thread.error());
  }
  all_.push_back({std::move(server), std::move(ended), std::move(*thread)});
  return {};
}

// With the lock held.
void guest_servers::reap() {
  all_.remove_if([](const running& each) { return each.ended->load(); });
}

bool guest_servers::step() {
  bool stepped = false;
  const std::lock_guard lock(mutex_);
  for (auto& each : all_) {
    if (*each.ended) {
      continue;
    }
    if (each.server->stopping()) {
      each.server->let_go();
      *each.ended = true;
      stepped = true;
    } else {
      stepped = each.server->step() || stepped;
    }
  }
  reap();
  return stepped;
}

} // namespace actors
