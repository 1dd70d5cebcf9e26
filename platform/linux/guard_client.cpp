// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/guard_client.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "platform/linux/guard_keeper.hpp"
#include "platform/local_packets.hpp"

extern "C" char** environ; // NOLINT: POSIX wants it to be declared here

namespace platform::linux_host {
namespace {

using kind = pci::guard_news::kind;
using verb = pci::guard_request::verb;
using pci::guard_state;
using namespace std::chrono_literals;

constexpr auto start_patience = 2000ms; ///< for a keeper that was started
constexpr auto start_interval = 10ms;

pci::guard_state state_of(kind what) {
  switch (what) {
  case kind::armed:
    return guard_state::armed;
  case kind::waits:
    return guard_state::holding;
  case kind::failed:
    return guard_state::unguarded;
  case kind::let_go:
    return guard_state::let_go;
  default:
    return guard_state::none;
  }
}

} // namespace

std::string guard_client::default_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string{} : (self.parent_path() / "pcibackd-guard").string();
}

guard_client::guard_client(options wanted)
    : wanted_(std::move(wanted)), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  static_cast<void>(connect());
  thread_ = std::thread([this] { run(); });
  std::unique_lock lock(mutex_);
  heard_.wait_for(lock, wanted_.patience, [this] { return listed_ || !socket_; });
}

guard_client::~guard_client() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof one));
  thread_.join();
}

// One that could not do its work would not the next time either: it has said why.
void guard_client::reap_keeper() {
  int status = 0;
  if (keeper_ == 0 || ::waitpid(keeper_, &status, WNOHANG) != keeper_)
    return;
  keeper_ = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    wanted_.program.clear();
}

// The keeper has a session of its own and none of our signals, so that it outlives this process, however that ends.
void guard_client::start_keeper() {
  reap_keeper();
  if (wanted_.program.empty() || !std::filesystem::exists(wanted_.program))
    return;
  std::array<std::string, 4> words{wanted_.program, "--socket", wanted_.socket, "--until-idle"};
  std::array<char*, 5> arguments{words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_t started = 0;
  if (::posix_spawn(&started, wanted_.program.c_str(), nullptr, &attributes, arguments.data(), environ) == 0)
    keeper_ = started;
  ::posix_spawnattr_destroy(&attributes);
}

bool guard_client::connect() {
  auto connected = connect_to_guards(wanted_.socket);
  if (!connected) {
    start_keeper();
    for (auto waited = 0ms; !connected && keeper_ != 0 && waited < start_patience; waited += start_interval) {
      std::this_thread::sleep_for(start_interval);
      reap_keeper();
      connected = connect_to_guards(wanted_.socket);
    }
  }
  const std::lock_guard lock(mutex_);
  if (!connected) {
    obstacle_ = pci::to_string(connected.error());
    return false;
  }
  socket_ = std::move(*connected);
  obstacle_.clear();
  static_cast<void>(ask(verb::watch, {}) && ask(verb::list, {}));
  for (const auto& [address, one] : guards_)
    if (one.wanted)
      static_cast<void>(ask(verb::arm, address));
  for (const auto& [address, one] : left_)
    if (one.mine)
      static_cast<void>(ask(verb::keep, address, one.mine.get()));
  return true;
}

// With the lock held.
bool guard_client::ask(verb what, const pci::sbdf& address, int attached) {
  const auto text = pci::to_text(pci::guard_request{what, address});
  return socket_ && send_packet(socket_.get(), text, attached, MSG_DONTWAIT) == static_cast<ssize_t>(text.size());
}

void guard_client::lose(const std::string& why) {
  const std::lock_guard lock(mutex_);
  socket_ = descriptor{};
  obstacle_ = why;
  for (auto& [address, one] : guards_) {
    one.state = one.wanted ? guard_state::unguarded : guard_state::none;
    one.error = ENOTCONN;
    ++one.answers;
  }
  heard_.notify_all();
}

void guard_client::run() {
  for (;;) {
    std::array<pollfd, 2> both{{{stop_.get(), POLLIN, 0}, {-1, POLLIN, 0}}};
    {
      const std::lock_guard lock(mutex_);
      both[1].fd = socket_.get();
    }
    const auto ready = ::poll(both.data(), both.size(), both[1].fd < 0 ? static_cast<int>(wanted_.retry / 1ms) : -1);
    if (both[0].revents != 0)
      return;
    if (both[1].fd < 0 && ready == 0)
      static_cast<void>(connect());
    else if (both[1].revents != 0 && !receive())
      lose("the keeper of removal guards has ended");
  }
}

bool guard_client::receive() {
  std::array<char, pci::guard_packet_size + 1> packet;
  descriptor attached;
  const auto size = receive_packet(socket_.get(), packet, &attached, MSG_DONTWAIT).size;
  if (size < 0)
    return errno == EAGAIN || errno == EINTR;
  const auto news = pci::parse_guard_news({packet.data(), static_cast<std::size_t>(size)});
  if (size == 0 || !news)
    return false;
  hear(*news, std::move(attached));
  return true;
}

void guard_client::hear(const pci::guard_news& news, descriptor attached) {
  if (news.what == kind::kept || news.what == kind::dropped)
    return hear_of_descriptor(news, std::move(attached));
  {
    const std::lock_guard lock(mutex_);
    if (news.what == kind::listed)
      listed_ = true;
    else if (news.what != kind::suspended && news.what != kind::resumed) {
      auto& one = guards_[news.address];
      one.state = state_of(news.what);
      one.error = news.error;
      ++one.answers;
      if (one.state == guard_state::none && !one.wanted)
        guards_.erase(news.address);
    }
    heard_.notify_all();
  }
  if (news.what != kind::waits)
    return;
  const std::lock_guard lock(listener_mutex_);
  if (listener_)
    listener_(news.address);
}

pci::failure guard_client::refusal(const pci::sbdf& address, const entry& one) const {
  const auto why = !obstacle_.empty() ? obstacle_ : std::string{"the keeper of removal guards refused"};
  return {one.error == 0 ? ETIMEDOUT : one.error,
          fmt::format("a removal of {} from dom0 would not wait for its guest: {}", pci::to_string(address), why)};
}

pci::result<void> guard_client::arm(const pci::sbdf& address) {
  std::unique_lock lock(mutex_);
  auto& begun = guards_[address];
  begun.wanted = true;
  const auto before = begun.answers;
  const auto done = [&] {
    const auto& one = guards_[address];
    return !socket_ || (one.answers != before && one.state != guard_state::none);
  };
  if (ask(verb::arm, address))
    heard_.wait_for(lock, wanted_.patience, done);
  auto& one = guards_[address];
  if (one.state == guard_state::armed || one.state == guard_state::holding)
    return {};
  one.state = one.state == guard_state::let_go ? one.state : guard_state::unguarded;
  one.error = socket_ ? one.error : ENOTCONN;
  return tl::unexpected(refusal(address, one));
}

void guard_client::release(const pci::sbdf& address) {
  std::unique_lock lock(mutex_);
  const auto found = guards_.find(address);
  if (found == guards_.end())
    return;
  found->second.wanted = false;
  if (!ask(verb::release, address)) {
    guards_.erase(address);
    return;
  }
  heard_.wait_for(lock, wanted_.patience, [&] {
    const auto now = guards_.find(address);
    return !socket_ || now == guards_.end() || now->second.state == guard_state::none;
  });
}

void guard_client::look(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  static_cast<void>(ask(verb::look, address));
}

pci::guard_state guard_client::state(const pci::sbdf& address) const {
  const std::lock_guard lock(mutex_);
  const auto found = guards_.find(address);
  return found == guards_.end() ? guard_state::none : found->second.state;
}

std::vector<pci::sbdf> guard_client::guarded() const {
  const std::lock_guard lock(mutex_);
  std::vector<pci::sbdf> all;
  for (const auto& [address, one] : guards_)
    all.push_back(address);
  return all;
}

// -- descriptors

void guard_client::hear_of_descriptor(const pci::guard_news& news, descriptor attached) {
  const std::lock_guard lock(mutex_);
  if (const auto found = left_.find(news.address); found != left_.end()) {
    found->second.given = std::move(attached);
    ++found->second.answers;
  }
  heard_.notify_all();
}

void guard_client::ask_and_wait(std::unique_lock<std::mutex>& lock, verb what, const pci::sbdf& address, int attached) {
  const auto before = left_[address].answers;
  if (ask(what, address, attached))
    heard_.wait_for(lock, wanted_.patience, [&] { return !socket_ || left_[address].answers != before; });
}

void guard_client::keep(const pci::sbdf& address, int descriptor) {
  std::unique_lock lock(mutex_);
  left_[address].mine = platform::descriptor{::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)};
  ask_and_wait(lock, verb::keep, address, descriptor);
}

descriptor guard_client::take(const pci::sbdf& address) {
  std::unique_lock lock(mutex_);
  ask_and_wait(lock, verb::take, address);
  auto& one = left_[address];
  auto given = std::move(one.given);
  if (given)
    one.mine = descriptor{::fcntl(given.get(), F_DUPFD_CLOEXEC, 0)};
  return given;
}

void guard_client::drop(const pci::sbdf& address) {
  std::unique_lock lock(mutex_);
  left_[address].mine = descriptor{};
  ask_and_wait(lock, verb::drop, address);
  left_.erase(address);
}

void guard_client::listen(listener whom) {
  {
    const std::lock_guard lock(listener_mutex_);
    listener_ = std::move(whom);
    if (!listener_)
      return;
  }
  for (const auto& address : guarded()) {
    const std::lock_guard lock(listener_mutex_);
    if (state(address) == guard_state::holding)
      listener_(address);
  }
}

std::string guard_client::obstacle() const {
  const std::lock_guard lock(mutex_);
  return obstacle_;
}

} // namespace platform::linux_host
