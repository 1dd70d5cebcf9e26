// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/guest_thread.hpp"

#include <memory>

#include <fmt/format.h>

namespace actors {
namespace {

// Twice what the deepest way takes, which is that of a line of the log. Sanitizers need more.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_size = 8 << 20;
#else
constexpr std::size_t stack_size = 256 << 10;
#endif

struct beginning {
  std::string name;
  std::function<void()> work;
};

// A thread may name itself where there is no /proc, and another one may not.
void* run(void* argument) {
  const std::unique_ptr<beginning> its(static_cast<beginning*>(argument));
  pthread_setname_np(pthread_self(), its->name.c_str());
  its->work();
  return nullptr;
}

} // namespace

guest_thread::~guest_thread() {
  if (!running_) {
    return;
  }
  if (pthread_equal(thread_, pthread_self()) != 0) {
    pthread_detach(thread_); // it has let go of the last that kept this
  } else {
    pthread_join(thread_, nullptr);
  }
}

pci::result<guest_thread> guest_thread::start(const std::string& name, std::function<void()> work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size);
  guest_thread started;
  auto argument = std::make_unique<beginning>(beginning{name.substr(0, 15), std::move(work)});
  const int error = pthread_create(&started.thread_, &attributes, run, argument.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    return pci::fail(error, fmt::format("no thread can be made for {}", name));
  }
  static_cast<void>(argument.release()); // the thread's now
  started.running_ = true;
  return started;
}

} // namespace actors
