// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz/support/watched_page.hpp"

#include <csignal>
#include <cstdlib>
#include <utility>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "fuzz/support/input.hpp"

namespace fuzz {
namespace {

constexpr long long trap_flag = 0x100; // of RFLAGS: a trap after one instruction

struct sigaction next_on_fault {}; // libFuzzer's or the sanitizer's, for the faults that are faults

std::uint8_t* map(int file) {
  void* made = ::mmap(nullptr, watched_page::size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  require(made != MAP_FAILED, "a page can be mapped");
  return static_cast<std::uint8_t*>(made);
}

void set_trap(void* context, bool on) {
  auto& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
  flags = on ? flags | trap_flag : flags & ~trap_flag;
}

} // namespace

/// The two signals, as the kernel calls them.
struct signal_entry {
  static void fault(int signal, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const auto page = reinterpret_cast<std::uintptr_t>(watched_page::only().backend());
    if (at >= page && at < page + watched_page::size)
      watched_page::on_fault(context);
    else if ((next_on_fault.sa_flags & SA_SIGINFO) != 0)
      next_on_fault.sa_sigaction(signal, info, context);
    else
      std::abort();
  }
  static void step(int /*signal*/, siginfo_t* /*info*/, void* context) { watched_page::on_step(context); }
};

watched_page& watched_page::only() {
  static watched_page page;
  return page;
}

watched_page::watched_page() {
  const int file = ::memfd_create("page", MFD_CLOEXEC);
  require(file >= 0 && ::ftruncate(file, size) == 0, "memory can be had");
  guest_ = map(file);
  backend_ = map(file);
  ::close(file);
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = signal_entry::fault;
  require(::sigaction(SIGSEGV, &action, &next_on_fault) == 0, "a handler can be set");
  action.sa_sigaction = signal_entry::step;
  require(::sigaction(SIGTRAP, &action, nullptr) == 0, "a handler can be set");
}

void watched_page::open(bool on) const {
  if (::mprotect(backend_, size, on ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    std::abort();
}

/// The access that faulted is let through, alone.
void watched_page::on_fault(void* context) {
  auto& page = only();
  page.change_(page.guest_);
  page.open(true);
  set_trap(context, true);
}

void watched_page::on_step(void* context) {
  only().open(false);
  set_trap(context, false);
}

void watched_page::during(change what, const std::function<void()>& use) {
  change_ = std::move(what);
  open(false);
  use();
  open(true);
}

} // namespace fuzz
