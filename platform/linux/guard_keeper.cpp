// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/guard_keeper.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "platform/local_packets.hpp"

namespace platform::linux_host {
namespace {

using kind = pci::guard_news::kind;
using verb = pci::guard_request::verb;
using namespace std::chrono_literals;

constexpr std::size_t most_connections = 16;
constexpr std::size_t most_kept = 256;
// After a driver was unbound its function's file goes within microseconds, if the function does.
constexpr auto close_look = 300ms;
constexpr auto close_interval = 2ms;
// The monotonic clock stands still while dom0 sleeps: whoever was to say that it is awake again did not.
constexpr auto longest_suspension = 60s;

pci::result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return pci::fail(ENAMETOOLONG, path);
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  return address;
}

descriptor make_socket(int flags) { return descriptor{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0)}; }

/// Root, or whoever runs the keeper.
bool may_speak(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == ::geteuid());
}

} // namespace

pci::result<descriptor> connect_to_guards(const std::string& path) {
  auto socket = make_socket(0);
  const auto address = address_of(path);
  if (!address)
    return tl::unexpected(address.error());
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return pci::fail(errno, fmt::format("the keeper of removal guards does not answer at {}", path));
  return socket;
}

pci::result<descriptor> listen_for_guards(const std::string& path) {
  if (connect_to_guards(path))
    return pci::fail(EADDRINUSE, fmt::format("a keeper of removal guards already answers at {}", path));
  const auto address = address_of(path);
  if (!address)
    return tl::unexpected(address.error());
  std::error_code ignored; // binding fails then, and says why
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  if (std::filesystem::is_socket(path, ignored))
    std::filesystem::remove(path, ignored);
  auto socket = make_socket(SOCK_NONBLOCK);
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(socket.get(), most_connections) != 0)
    return pci::fail(errno, fmt::format("cannot listen at {}", path));
  return socket;
}

std::string guard_keeper::file_of(const std::string& proc, const pci::sbdf& address) {
  const auto segment = address.segment == 0 ? std::string{} : fmt::format("{:04x}:", address.segment);
  return fmt::format("{}/{}{:02x}/{:02x}.{:x}", proc, segment, address.bus, address.slot(), address.function());
}

guard_keeper::guard_keeper(descriptor listening, blocked_reads& reads, options wanted)
    : listening_(std::move(listening)), reads_(reads), wanted_(std::move(wanted)), watched_(clock::now()) {}

int guard_keeper::patience() const {
  if (clock::now() < look_closely_until_)
    return close_interval / 1ms;
  return guards_.empty() && !resume_at_ ? -1 : static_cast<int>(wanted_.interval / 1ms);
}

pci::result<void> guard_keeper::run(int stop) {
  while (!idle()) {
    std::vector<pollfd> all{{stop, POLLIN, 0}, {listening_.get(), POLLIN, 0}};
    for (const int each : reads_.descriptors())
      all.push_back({each, POLLIN, 0});
    const auto first = all.size();
    for (const auto& each : connections_)
      all.push_back({each.socket.get(), POLLIN, 0});
    if (::poll(all.data(), all.size(), patience()) < 0 && errno != EINTR)
      return pci::fail(errno, "the keeper of removal guards cannot wait");
    if (all.front().revents != 0)
      return {};
    reads_.tell([this](std::size_t slot, bool waits, int error) { read_told(slot, waits, error); });
    for (std::size_t i = first; i < all.size(); ++i)
      if (all[i].revents != 0 && !serve(connections_[i - first]))
        connections_[i - first].socket = descriptor{};
    std::erase_if(connections_, [](const connection& each) { return !each.socket; });
    if (all[1].revents != 0)
      accept();
    look_at_all();
    settle_suspension();
    forget_idle();
  }
  return {};
}

void guard_keeper::accept() {
  descriptor fresh{::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!fresh || !may_speak(fresh.get()) || connections_.size() >= most_connections)
    return;
  served_ = true;
  connections_.push_back({std::move(fresh), false, false, {}});
}

bool guard_keeper::serve(connection& from) {
  std::array<char, pci::guard_packet_size + 1> packet;
  for (descriptor attached;;) {
    const auto size = receive_packet(from.socket.get(), packet, &attached, MSG_DONTWAIT).size;
    if (size < 0)
      return errno == EAGAIN || errno == EINTR;
    if (size == 0)
      return false;
    const auto asked = pci::parse_guard_request({packet.data(), static_cast<std::size_t>(size)});
    if (!asked)
      return false; // whoever speaks so knows another version
    answer(from, *asked, std::move(attached));
  }
}

void guard_keeper::answer(connection& from, const pci::guard_request& asked, descriptor attached) {
  const auto found = guards_.find(asked.address);
  switch (asked.what) {
  case verb::arm:
    return arm(from, asked.address);
  case verb::release:
    from.asked.push_back(asked.address);
    return apply(asked.address,
                 found == guards_.end() ? pci::removal_guard{}.release() : found->second.guard.release());
  case verb::look:
    look_closely_until_ = clock::now() + close_look;
    return;
  case verb::list:
    return list(from);
  case verb::watch:
    from.watches = true;
    return;
  case verb::suspend:
    return suspend(from);
  case verb::resume:
    resume();
    return send(from, {kind::resumed, {}, 0});
  case verb::keep:
    return keep(from, asked.address, std::move(attached));
  case verb::take:
    return give(from, asked.address);
  case verb::drop:
    kept_.erase(asked.address);
    return send(from, {kind::dropped, asked.address, 0});
  }
}

void guard_keeper::keep(connection& from, const pci::sbdf& address, descriptor attached) {
  if (!attached || (kept_.size() >= most_kept && !kept_.contains(address)))
    return send(from, {kind::dropped, address, 0});
  kept_[address] = std::move(attached);
  send(from, {kind::kept, address, 0});
}

void guard_keeper::give(connection& to, const pci::sbdf& address) {
  const auto found = kept_.find(address);
  if (found == kept_.end())
    return send(to, {kind::dropped, address, 0});
  send(to, {kind::kept, address, 0}, found->second.get());
}

std::optional<std::size_t> guard_keeper::free_slot() const {
  std::vector<bool> taken(reads_.slots());
  for (const auto& [address, entry] : guards_)
    taken[entry.slot] = true;
  const auto found = std::find(taken.begin(), taken.end(), false);
  return found == taken.end() ? std::nullopt
                              : std::optional{static_cast<std::size_t>(std::distance(taken.begin(), found))};
}

void guard_keeper::arm(connection& from, const pci::sbdf& address) {
  if (!guards_.contains(address)) {
    const auto slot = free_slot();
    if (!slot)
      return send(from, {kind::failed, address, ENOSPC});
    auto& fresh = guards_[address];
    fresh.slot = *slot;
    if (resume_at_)
      static_cast<void>(fresh.guard.suspend());
  }
  from.asked.push_back(address);
  apply(address, guards_.at(address).guard.arm());
}

void guard_keeper::list(connection& to) {
  for (auto& [address, entry] : guards_)
    if (const auto what = entry.guard.account())
      send(to, {*what, address, *what == kind::failed ? EAGAIN : 0});
  send(to, {kind::listed, {}, 0});
}

void guard_keeper::suspend(connection& from) {
  resume_at_ = clock::now() + longest_suspension;
  from.suspending = true;
  for (auto& [address, entry] : guards_)
    apply(address, entry.guard.suspend());
}

void guard_keeper::resume() {
  resume_at_.reset();
  for (auto& [address, entry] : guards_)
    apply(address, entry.guard.resume());
}

// Answered when the last read has ended, but for those that hold a removal up.
void guard_keeper::settle_suspension() {
  if (!resume_at_)
    return;
  if (clock::now() >= *resume_at_)
    return resume();
  if (!std::all_of(guards_.begin(), guards_.end(), [](const auto& each) { return each.second.guard.settled(); }))
    return;
  for (auto& each : connections_)
    if (std::exchange(each.suspending, false))
      send(each, {kind::suspended, {}, 0});
}

void guard_keeper::apply(const pci::sbdf& address, const pci::removal_guard::outcome& what) {
  const auto found = guards_.find(address);
  auto now = what;
  while (found != guards_.end() && now.what == pci::removal_guard::effect::read) {
    const auto begun = reads_.begin(found->second.slot, file_of(wanted_.proc, address));
    if (begun)
      break;
    now = found->second.guard.ended(begun.error().error);
  }
  if (now.what == pci::removal_guard::effect::fill)
    reads_.fill(found->second.slot);
  if (now.tell)
    tell({*now.tell, address, now.error});
}

/// To those who watch, and to those who have asked and were not answered.
void guard_keeper::tell(const pci::guard_news& news) {
  for (auto& each : connections_) {
    const auto answered = std::erase(each.asked, news.address) != 0;
    if (answered || each.watches)
      send(each, news);
  }
}

// A partner that does not read is not waited for: it asks again when it wants to know.
void guard_keeper::send(connection& to, const pci::guard_news& news, int attached) {
  if (to.socket)
    static_cast<void>(send_packet(to.socket.get(), pci::to_text(news), attached, MSG_DONTWAIT));
}

void guard_keeper::read_told(std::size_t slot, bool waits, int error) {
  for (auto& [address, entry] : guards_)
    if (entry.slot == slot)
      return apply(address, waits ? entry.guard.entered() : entry.guard.ended(error));
}

void guard_keeper::look_at_all() {
  const auto now = clock::now();
  if (std::any_of(connections_.begin(), connections_.end(), [](const auto& each) { return each.watches; }))
    watched_ = now;
  const auto since = [](auto span) { return std::chrono::duration_cast<pci::removal_guard::duration>(span); };
  for (auto& [address, entry] : guards_) {
    if (entry.guard.now() != pci::removal_guard::phase::inside)
      continue;
    const pci::removal_guard::sight seen{::access(file_of(wanted_.proc, address).c_str(), F_OK) != 0 && errno == ENOENT,
                                         reads_.spins(entry.slot), since(now.time_since_epoch()),
                                         since(now - watched_)};
    apply(address, entry.guard.look(seen, wanted_.limit));
  }
}

void guard_keeper::forget_idle() {
  std::erase_if(guards_, [](const auto& each) {
    return each.second.guard.now() == pci::removal_guard::phase::open && !each.second.guard.account();
  });
}

} // namespace platform::linux_host
