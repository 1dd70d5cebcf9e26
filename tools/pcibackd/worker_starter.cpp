// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/worker_starter.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/local_packets.hpp"

namespace daemon_program {
namespace {

using platform::descriptor;

/// What the host process is told: a worker's number, or a negative errno; and later its status.
bool tell_of_worker(const descriptor& socket, int value) {
  std::array<char, sizeof value> text{};
  std::memcpy(text.data(), &value, sizeof value);
  return platform::send_packet(socket.get(), {text.data(), text.size()}, -1) == sizeof value;
}

pci::result<int> hear_of_worker(const descriptor& socket) {
  int value = 0;
  std::array<char, sizeof value> text{};
  if (platform::receive_packet(socket.get(), text, nullptr).size != sizeof value) {
    return pci::fail(EPIPE, "the process that starts the worker has ended");
  }
  std::memcpy(&value, text.data(), sizeof value);
  return value;
}

// A packet has one descriptor, so these come in three.
std::optional<process_ends> receive_ends(const descriptor& socket) {
  process_ends all;
  for (auto* each : {&all.requests, &all.events, &all.signals}) {
    std::array<char, 1> text{};
    if (platform::receive_packet(socket.get(), text, each).size != 1 || !*each) {
      return std::nullopt;
    }
  }
  return all;
}

// One that throws ends as one that crashes does.
[[noreturn]] void become_worker(process_ends mine, const worker_starter::worker_body& body) noexcept {
  body(std::move(mine));
  std::_Exit(EXIT_FAILURE);
}

[[noreturn]] void start_workers(descriptor socket, pid_t parent, const worker_starter::worker_body& body) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) {
    std::_Exit(EXIT_FAILURE);
  }
  for (;;) {
    auto its = receive_ends(socket);
    if (!its) {
      std::_Exit(EXIT_SUCCESS);
    }
    const auto worker = ::fork();
    if (worker == 0) {
      socket = descriptor{};
      become_worker(std::move(*its), body);
    }
    its.reset();
    if (!tell_of_worker(socket, worker < 0 ? -errno : worker)) {
      std::_Exit(EXIT_FAILURE);
    }
    int status = 0;
    if (worker > 0 && (::waitpid(worker, &status, 0) != worker || !tell_of_worker(socket, status))) {
      std::_Exit(EXIT_FAILURE);
    }
  }
}

} // namespace

pci::result<worker_starter> worker_starter::make(const worker_body& body, const std::vector<int>& closed) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return pci::fail(errno, "cannot make a pair of sockets");
  }
  descriptor mine{ends[0]};
  descriptor its{ends[1]};
  const auto parent = ::getpid();
  const auto made = ::fork();
  if (made < 0) {
    return pci::fail(errno, "cannot start the second process");
  }
  if (made == 0) {
    mine = descriptor{};
    for (const auto each : closed) {
      ::close(each);
    }
    start_workers(std::move(its), parent, body);
  }
  return worker_starter{std::move(mine), made};
}

worker_starter::worker_starter(worker_starter&& from) noexcept
    : socket_(std::move(from.socket_)), process_(std::exchange(from.process_, 0)) {}

worker_starter::~worker_starter() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
}

pci::result<pid_t> worker_starter::start(const process_ends& its) const {
  for (const auto* each : {&its.requests, &its.events, &its.signals}) {
    if (platform::send_packet(socket_.get(), "+", each->get()) != 1) {
      return pci::fail(EPIPE, "the process that starts the worker has ended");
    }
  }
  const auto worker = hear_of_worker(socket_);
  if (worker && *worker < 0) {
    return pci::fail(-*worker, "cannot start the worker");
  }
  return worker;
}

pci::result<int> worker_starter::ended() const { return hear_of_worker(socket_); }

} // namespace daemon_program
