// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <utility>

#include <pthread.h>

#include "pci/result.hpp"

namespace actors {

/// A thread with a small stack and a name of its own, as `top -H` shows it: there is one a guest. Joined by its
/// destructor.
class guest_thread {
public:
  guest_thread() = default;
  guest_thread(guest_thread&& from) noexcept : thread_(from.thread_), running_(std::exchange(from.running_, false)) {}
  guest_thread& operator=(guest_thread&&) = delete;
  guest_thread(const guest_thread&) = delete;
  guest_thread& operator=(const guest_thread&) = delete;
  ~guest_thread();

  /// `name`: what is longer than 15 characters is cut. `work` must not throw. EAGAIN: no thread can be made.
  [[nodiscard]] static pci::result<guest_thread> start(const std::string& name, std::function<void()> work);

private:
  pthread_t thread_{};
  bool running_ = false;
};

} // namespace actors
