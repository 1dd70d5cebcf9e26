// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/store.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pci/protocol/xenstore_paths.hpp"

namespace platform::xen {
namespace {

using namespace std::chrono_literals;

constexpr auto first_pause = 100ms; // doubles with each attempt
constexpr auto longest_pause = 5s;

tl::unexpected<failure> not_connected() { return pci::fail(ENOTCONN, "xenstore: the connection is lost"); }

std::string random_mark() {
  std::uint64_t number = 0;
  while (::getrandom(&number, sizeof number, 0) != sizeof number) {
  }
  return fmt::format("{:016x}", number);
}

} // namespace

store::store(connection first, platform::descriptor events, platform::descriptor timer, const watch_extensions& library)
    : library_(library), events_(std::move(events)), timer_(std::move(timer)), pause_(first_pause),
      connection_(std::move(first)) {}

result<std::unique_ptr<store>> store::open(const watch_extensions& library) {
  auto first = store_connection::open(library);
  if (!first)
    return tl::unexpected(std::move(first.error()));
  platform::descriptor events{::epoll_create1(EPOLL_CLOEXEC)};
  platform::descriptor timer{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  epoll_event due{};
  due.events = EPOLLIN;
  if (!events || !timer || ::epoll_ctl(events.get(), EPOLL_CTL_ADD, timer.get(), &due) != 0)
    return pci::fail(errno, "no descriptors for xenstore's watches");
  std::unique_ptr<store> opened(new store(std::move(*first), std::move(events), std::move(timer), library));
  return opened->follow(*opened->connection_).map([&] { return std::move(opened); });
}

// A descriptor leaves the epoll when it is closed.
result<void> store::follow(const store_connection& what) const {
  epoll_event readable{};
  readable.events = EPOLLIN;
  if (::epoll_ctl(events_.get(), EPOLL_CTL_ADD, what.watch_descriptor(), &readable) != 0)
    return pci::fail(errno, "xenstore's watches cannot be waited for");
  return {};
}

// -- requests

store::connection store::current() const {
  const std::lock_guard lock(connection_mutex_);
  return connection_;
}

template <class Work>
auto store::ask(Work work) {
  using answer = decltype(work(std::declval<connection_operations&>()));
  const auto now = current();
  if (!now)
    return answer(not_connected());
  connection_operations at{now->requests(), 0};
  answer done = work(at);
  if (!done && is_lost_connection(done.error().error))
    lose(now);
  return done;
}

result<std::string> store::read(const std::string& path) {
  return ask([&](connection_operations& at) { return at.read(path); });
}

result<void> store::write(const std::string& path, std::string_view value) {
  return ask([&](connection_operations& at) { return at.write(path, value); });
}

result<void> store::make_directory(const std::string& path) {
  return ask([&](connection_operations& at) { return at.make_directory(path); });
}

result<void> store::remove(const std::string& path) {
  return ask([&](connection_operations& at) { return at.remove(path); });
}

result<std::vector<std::string>> store::list(const std::string& path) {
  return ask([&](connection_operations& at) { return at.list(path); });
}

result<void> store::set_permissions(const std::string& path, std::span<const node_permission> who) {
  return ask([&](connection_operations& at) { return at.set_permissions(path, who); });
}

result<void> store::transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts) {
  return ask([&](connection_operations& at) { return at.transact(body, attempts); });
}

// -- watches

// Only who watches needs to know the xenstored again; a command that reads writes nothing. Who is not dom0 may not
// leave a mark, and takes any xenstored for the one that was there.
result<void> store::remember_mark(const store_connection& at) {
  if (!mark_.empty())
    return {};
  connection_operations now{at.requests(), 0};
  auto found = now.read(pci::paths::mark);
  if (!found && found.error().error == ENOENT) {
    const auto made = random_mark();
    found = now.write(pci::paths::mark, made).map([&] { return made; });
  }
  if (!found && found.error().error == EACCES)
    return {};
  return found.map([this](const std::string& is) { mark_ = is; });
}

result<void> store::watch(const std::string& path, const std::string& token, unsigned depth) {
  const std::lock_guard changing(changing_);
  const auto now = current();
  if (!now)
    return not_connected();
  if (auto known = remember_mark(*now); !known)
    return known;
  // Before xenstored knows of it, as the first event comes at once.
  if (const std::lock_guard lock(mutex_); !watches_.try_emplace(token, watched{path, depth}).second)
    return pci::fail(EEXIST, fmt::format("xenstore: watch {}: the token {} is in use", path, token));
  auto done = now->watch(path, token, depth);
  if (!done)
    forget(token);
  if (!done && is_lost_connection(done.error().error))
    lose(now);
  return done;
}

result<void> store::unwatch(const std::string& path, const std::string& token) {
  const std::lock_guard changing(changing_);
  forget(token);
  const auto now = current();
  return now ? now->unwatch(path, token) : result<void>{}; // it is not made again
}

void store::forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  watches_.erase(token);
}

void store::pass_on(const std::string& path, const std::string& token, const watch_handler& deliver) {
  const std::lock_guard lock(mutex_);
  if (watches_.contains(token))
    deliver(path, token);
}

result<void> store::drain_watches(const watch_handler& deliver, unsigned limit) {
  auto now = current();
  if (!now) {
    auto made = reconnect();
    if (!made)
      return tl::unexpected(std::move(made.error()));
    now = std::move(*made);
  }
  for (unsigned taken = 0; taken < limit; ++taken) {
    const auto one = now->next_event([&](const auto& path, const auto& token) { pass_on(path, token, deliver); });
    if (!one && one.error().error == EAGAIN)
      return {};
    if (!one) {
      lose(now);
      return one;
    }
  }
  return {};
}

// -- a connection that is lost

void store::lose(const connection& what) {
  connection last; // closed without the lock
  const std::lock_guard lock(connection_mutex_);
  if (connection_ == what) {
    last = std::exchange(connection_, nullptr);
    try_again_in(first_pause);
  }
}

void store::try_again_in(std::chrono::milliseconds time) const {
  itimerspec then{};
  then.it_value = {.tv_sec = time / 1s, .tv_nsec = std::chrono::nanoseconds(time % 1s).count()};
  ::timerfd_settime(timer_.get(), 0, &then, nullptr);
}

result<store::connection> store::reconnect() {
  const std::lock_guard changing(changing_);
  std::uint64_t times = 0;
  [[maybe_unused]] const auto got = ::read(timer_.get(), &times, sizeof times);
  auto made = open_again();
  if (!made) {
    if (made.error().error != ESTALE)
      try_again_in(std::exchange(pause_, std::min<std::chrono::milliseconds>(2 * pause_, longest_pause)));
    return made;
  }
  pause_ = first_pause;
  try_again_in(0ms); // never: it is done
  const std::lock_guard lock(connection_mutex_);
  connection_ = *made;
  return made;
}

result<store::connection> store::open_again() {
  auto opened = store_connection::open(library_);
  if (!opened)
    return opened;
  const auto& made = **opened;
  const auto found = connection_operations{made.requests(), 0}.read(pci::paths::mark);
  if (!found && found.error().error != ENOENT)
    return tl::unexpected(found.error());
  if (!mark_.empty() && (!found || *found != mark_))
    return pci::fail(ESTALE, "xenstored was restarted and has lost its contents, guests' nodes included");
  const std::lock_guard lock(mutex_);
  for (const auto& [token, what] : watches_)
    if (auto watched = made.watch(what.path, token, what.depth); !watched)
      return tl::unexpected(std::move(watched.error()));
  return follow(made).map([&] { return std::move(*opened); });
}

} // namespace platform::xen
