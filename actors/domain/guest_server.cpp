// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/guest_server.hpp"

#include <utility>

#include <caf/send.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/environment.hpp"
#include "actors/look/census.hpp"

namespace actors {
namespace {

void relax_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

} // namespace

guest_server::guest_server(std::shared_ptr<connection> guest, messages::domain_actor owner, std::uint64_t number,
                           std::shared_ptr<guest_limits> limits, const platform::clock& time,
                           pci::busy_poll::limits polling, stopwatch processor)
    : guest_(std::move(guest)), owner_(std::move(owner)), number_(number), limits_(std::move(limits)), time_(time),
      processor_(std::move(processor)), polling_(polling), leaves_out_(polling.any()) {
  system_ = &owner_->home_system();
  seen_ = census::all().enter_thread(*system_, owner_->id());
  seen_->is("thread", "of the guest's operations");
  seen_->is_passing();
}

guest_server::~guest_server() { census::all().leave(*system_, *seen_); }

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
  if (owed_ != nullptr) {
    owed_->leave(*last);
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

void guest_server::run(poll_places& places, owed_events& owed) {
  places_ = &places;
  owed_ = &owed;
  events_ =
      pci::late_events(leaves_out_, places.any() ? pci::late_events::gentle_growth : pci::late_events::steep_growth);
  owed.enter(guest_);
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
  begin_at(processor_());
  if (places_ != nullptr && guest_->has_operation()) {
    polling_.woken(begun_at_ - answered_at_);
    events_.followed(begun_at_ - answered_at_);
    if (std::exchange(untold_, false)) {
      events_.went_on(guest_->owes_event());
    }
  }
  if (take_and_serve()) {
    go_on();
  } else {
    seen_->rests();
  }
}

// What is measured costs no look at the clock of its own.
void guest_server::begin_at(pci::busy_poll::duration now) {
  begun_at_ = now;
  seen_->begins(now);
}

void guest_server::end_at(pci::busy_poll::duration now) {
  if (std::exchange(served_, false)) {
    guest_->took(begun_at_, now - begun_at_);
    seen_->ends(now);
  } else {
    seen_->rests();
  }
}

// True: the channel may be unmasked.
bool guest_server::take_and_serve() {
  auto work = guest_->take();
  return !put_off(work) && serve(std::move(work));
}

bool guest_server::serve(std::optional<connection::operation> work) try {
  untold_ = work && may_be_untold();
  switch (guest_->serve(work, untold_)) {
  case connection::event::operation:
    served_ = true;
    backoff_.worked();
    return true;
  case connection::event::answer:
    backoff_.worked();
    caf::anon_send(owner_, messages::kick_atom_v);
    return true;
  case connection::event::nothing:
    if (std::exchange(polled_, false)) {
      return true;
    }
    guest_->count_spurious();
    resume_at_ = time_.now() + backoff_.spurious();
    break;
  case connection::event::unbound:
    break;
  }
  return false;
} catch (const std::exception& what) {
  // Unlimited: its actor ends.
  spdlog::critical("serving a guest failed: {}; this is a bug", what.what());
  caf::anon_send_exit(owner_, caf::exit_reason::kill);
  return false;
}

// -- looking for what follows

// After an answer.
void guest_server::go_on() {
  while (follows()) {
    polled_ = true;
    guest_->count_polled();
    if (!take_and_serve()) {
      return seen_->rests();
    }
  }
  guest_->unmask();
}

// With several processors only where a look follows, after which it is sent; with one it is owed.
bool guest_server::may_be_untold() {
  return places_ != nullptr && (polling_.looks() || !places_->any()) && events_.may_wait();
}

bool guest_server::follows() {
  answered_at_ = processor_();
  end_at(answered_at_);
  if (places_ == nullptr) {
    return false;
  }
  const auto window = polling_.window(answered_at_);
  if (window == window.zero() || !places_->enter()) {
    if (untold_ && !places_->any()) {
      owed_->owe();
    } else if (std::exchange(untold_, false)) {
      guest_->send_event(false);
    }
    return false;
  }
  const bool found = look(window);
  places_->leave();
  if (std::exchange(untold_, false)) {
    events_.went_on(found);
    if (!found) {
      guest_->send_event(true);
    }
  }
  return found;
}

bool guest_server::look(pci::busy_poll::duration window) {
  constexpr unsigned between_times = 32; // reading the clock takes longer than a look
  const auto begin = answered_at_;
  auto now = begin;
  bool found = false;
  while (!found && now - begin < window && !stopping_) {
    for (unsigned i = 0; i < between_times && !found; ++i) {
      relax_processor();
      found = guest_->has_operation();
    }
    now = processor_();
  }
  polling_.polled(now - begin, found);
  if (found) {
    events_.followed(now - begin);
    begin_at(now);
  }
  return found;
}

// -- letting it wait

bool guest_server::put_off(std::optional<connection::operation>& work) {
  if (!work) {
    return false;
  }
  const bool switches = work->function && !work->is_access();
  const auto pause =
      switches ? limits_->pause_before_interrupts(work->what.what.entries.size()) : limits_->pause_before_access();
  if (pause == pause.zero()) {
    return false;
  }
  guest_->put_off(switches);
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
  if (!later_) {
    guest_->unmask();
  } else if (serve(std::exchange(later_, std::nullopt))) {
    go_on();
  }
}

// -- all of them

std::shared_ptr<guest_servers> make_guest_servers(platform::host& host, bool threads) {
  return std::make_shared<guest_servers>(threads, threads ? host.xen().processors() : 1);
}

guest_servers::guest_servers(bool threads, unsigned processors) : threads_(threads), places_(processors) {}

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
  if (auto sends = places_.any() ? pci::result<void>{} : owed_.start(); !sends) {
    return sends;
  }
  const auto name = fmt::format("guest-{}", domain);
  server->seen().is("thread", name);
  auto thread = guest_thread::start(name, [server, ended, this] {
    server->run(places_, owed_);
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
