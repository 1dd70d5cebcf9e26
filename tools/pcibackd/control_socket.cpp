// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/control_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "actors/control/answer.hpp"
#include "tools/pcibackd/listening_socket.hpp"
#include "tools/pcibackd/outbox.hpp"

namespace daemon_program {
namespace {

constexpr std::size_t piece = std::size_t{16} * 1024;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int read_signal(int signals) {
  signalfd_siginfo what{};
  const auto size = ::read(signals, &what, sizeof what);
  return size == sizeof what ? static_cast<int>(what.ssi_signo) : 0;
}

} // namespace

pci::result<std::unique_ptr<control_socket>> control_socket::listen(const std::string& path) {
  auto listener = listen_at(path);
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  platform::descriptor event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!event) {
    return pci::fail(errno, "no eventfd for the control socket");
  }
  auto answers = std::make_shared<outbox>(std::move(event));
  return std::unique_ptr<control_socket>(new control_socket(path, std::move(*listener), std::move(answers)));
}

control_socket::control_socket(std::string path, platform::descriptor listener, std::shared_ptr<outbox> answers)
    : path_(std::move(path)), listener_(std::move(listener)), answers_(std::move(answers)) {}

control_socket::~control_socket() { ::unlink(path_.c_str()); }

control_socket::answer_sink control_socket::sink() const {
  return
      [answers = answers_](std::uint64_t connection, std::string line) { answers->put(connection, std::move(line)); };
}

control_socket::answer_sink control_socket::watch() const {
  return [answers = answers_](std::uint64_t connection, std::string line) {
    answers->put(connection, std::move(line), true);
  };
}

control_socket::teller control_socket::news() const {
  return {[answers = answers_] { return answers->watched(); },
          [answers = answers_](std::string line) { answers->tell(std::move(line)); }};
}

std::function<void()> control_socket::stopper() const {
  return [answers = answers_] { answers->stop(); };
}

// Root, and whoever has started the daemon: without privileges there is only the simulated host to command.
bool control_socket::may_connect(int socket) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == owner_);
}

void control_socket::accept() {
  platform::descriptor socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
  if (socket && may_connect(socket.get())) {
    connections_[next_++].socket = std::move(socket);
  }
}

// While a request is carried out nothing more is read, and a connection that has ended is only written to.
short control_socket::interest(const connection& peer) {
  const bool reads = !peer.busy && !peer.ended && !peer.last_words;
  return static_cast<short>((reads ? POLLIN : 0) | (peer.unsent.empty() ? 0 : POLLOUT));
}

bool control_socket::receive(connection& peer) const {
  std::array<char, piece> buffer{};
  const auto size = ::recv(peer.socket.get(), buffer.data(), buffer.size(), 0);
  if (size < 0) {
    return would_block();
  }
  peer.ended = size == 0;
  peer.received.append(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

bool control_socket::send(connection& peer) const {
  while (!peer.unsent.empty()) {
    const auto size = ::send(peer.socket.get(), peer.unsent.data(), peer.unsent.size(), MSG_NOSIGNAL);
    if (size < 0) {
      return would_block();
    }
    peer.unsent.erase(0, static_cast<std::size_t>(size));
  }
  tell_of_loss(peer);
  return peer.busy || !peer.last_words;
}

bool control_socket::hand_on(std::uint64_t number, connection& peer, const request_handler& handler) const {
  while (!peer.busy && !peer.last_words) {
    const auto end = peer.received.find('\n');
    if (std::min(end, peer.received.size()) > longest_line) {
      // The control actor has the words for it, and needs no more than one byte too many.
      handler(number, peer.received.substr(0, longest_line + 1));
      peer.received.clear();
      peer.busy = peer.last_words = true;
    } else if (end == std::string::npos) {
      peer.last_words = peer.ended && !peer.watches; // who watches has nothing more to ask
      return !peer.last_words || !peer.unsent.empty();
    } else {
      auto line = peer.received.substr(0, end);
      peer.received.erase(0, end + 1);
      if (!line.empty()) {
        peer.busy = true;
        handler(number, std::move(line));
      }
    }
  }
  return true;
}

bool control_socket::advance(std::uint64_t number, connection& peer, short events,
                             const request_handler& handler) const {
  // A peer that is gone altogether: there is nobody to answer.
  if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0 && (events & POLLIN) == 0) {
    return false;
  }
  if ((events & POLLIN) != 0 && !receive(peer)) {
    return false;
  }
  return hand_on(number, peer, handler) && ((events & POLLOUT) == 0 || send(peer));
}

void control_socket::deliver(const request_handler& handler) {
  for (auto& [number, line, watches] : answers_->take()) {
    const auto found = connections_.find(number);
    if (found == connections_.end()) {
      continue;
    }
    auto& peer = found->second;
    peer.busy = false;
    peer.watches = peer.watches || watches;
    if (!line.empty()) {
      peer.unsent += line;
      peer.unsent += '\n';
    }
    if (!send(peer) || peer.unsent.size() > most_unsent || !hand_on(number, peer, handler)) {
      connections_.erase(found);
    }
  }
}

// -- who watches

// As soon as there is room again; it goes out with what comes next, or with the next look at the connection.
void control_socket::tell_of_loss(connection& peer) {
  if (peer.lost != 0 && peer.unsent.size() < most_unsent_news / 2) {
    peer.unsent += actors::control::told_of_loss(std::exchange(peer.lost, 0)) + '\n';
    peer.full_since.reset();
  }
}

bool control_socket::tell(connection& peer, const outbox_news& what) {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& line : what.lines) {
    tell_of_loss(peer);
    if (peer.lost == 0 && peer.unsent.size() + line.size() < most_unsent_news) {
      peer.unsent += line;
      peer.unsent += '\n';
    } else {
      ++peer.lost;
      peer.full_since = peer.full_since.value_or(now);
    }
  }
  peer.lost += what.lost;
  return !peer.full_since || now - *peer.full_since < watchers_patience;
}

void control_socket::deliver_news() {
  const auto what = answers_->take_news();
  std::size_t watchers = 0;
  for (auto each = connections_.begin(); each != connections_.end();) {
    auto& peer = each->second;
    if (peer.watches && (!what.lines.empty() || what.lost != 0) && !(tell(peer, what) && send(peer))) {
      each = connections_.erase(each);
      continue;
    }
    watchers += peer.watches ? 1 : 0;
    ++each;
  }
  answers_->set_watchers(watchers);
}

pci::result<int> control_socket::serve(int signals, const request_handler& handler,
                                       const std::function<void()>& on_hangup) {
  std::vector<pollfd> watched;
  std::vector<std::uint64_t> numbers;
  while (!answers_->stopped()) {
    const bool room = connections_.size() < most_connections;
    watched = {{signals, POLLIN, 0},
               {answers_->event(), POLLIN, 0},
               {listener_.get(), static_cast<short>(room ? POLLIN : 0), 0}};
    numbers.clear();
    for (const auto& [number, peer] : connections_) {
      watched.push_back({peer.socket.get(), interest(peer), 0});
      numbers.push_back(number);
    }
    if (::poll(watched.data(), watched.size(), -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      return pci::fail(errno, "the control socket cannot be polled");
    }
    if (watched[0].revents != 0) {
      const auto signal = read_signal(signals);
      if (signal != SIGHUP || !on_hangup) {
        return signal;
      }
      on_hangup();
    }
    for (std::size_t index = 0; index < numbers.size(); ++index) {
      const auto events = watched[index + 3].revents;
      const auto found = connections_.find(numbers[index]);
      if (events != 0 && !advance(found->first, found->second, events, handler)) {
        connections_.erase(found);
      }
    }
    deliver(handler);
    deliver_news();
    if (watched[2].revents != 0) {
      accept();
    }
  }
  return 0;
}

} // namespace daemon_program
