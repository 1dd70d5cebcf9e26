// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/watchdog.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

namespace daemon_program {
namespace {

constexpr std::array<std::string_view, 4> answering{"root", "device", "domain", "control"};

} // namespace

std::string first_silent(const std::vector<actors::actor_account>& all, std::chrono::nanoseconds patience) {
  const auto silent = std::ranges::find_if(all, [&](const actors::actor_account& each) {
    return each.lasts && each.oldest && *each.oldest > patience && std::ranges::count(answering, each.kind) != 0;
  });
  if (silent == all.end()) {
    return {};
  }
  return silent->subject.empty() ? silent->kind : silent->kind + " " + silent->subject;
}

watchdog::watchdog(duration timeout, look silent, std::function<void()> tell)
    : timeout_(timeout), silent_(std::move(silent)), tell_(std::move(tell)), thread_([this] { run(); }) {}

watchdog::~watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  thread_.join();
}

void watchdog::run() {
  for (std::unique_lock lock(mutex_); !stopping_; stopped_.wait_for(lock, timeout_ / 4, [this] { return stopping_; })) {
    lock.unlock();
    look_and_tell();
    lock.lock();
  }
}

void watchdog::look_and_tell() {
  auto silent = silent_(timeout_ / 4);
  if (silent.empty()) {
    tell_();
  } else if (last_.empty()) {
    spdlog::critical("{} does not answer: if that goes on, the service manager starts the daemon again; this is a bug",
                     silent);
  }
  last_ = std::move(silent);
}

} // namespace daemon_program
