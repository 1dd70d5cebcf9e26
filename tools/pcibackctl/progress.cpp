// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/progress.hpp"

#include <csignal>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "tools/pcibackctl/outcome.hpp"

namespace client_program {
namespace {

constexpr std::string_view erase = "\r\x1b[K";

// Whether there is a line to be taken away: the signal handler reads it.
volatile std::sig_atomic_t shown = 0;

void put(std::string_view text) { [[maybe_unused]] const auto size = ::write(STDERR_FILENO, text.data(), text.size()); }

void take_away() {
  if (shown != 0) {
    put(erase);
    shown = 0;
  }
}

extern "C" void interrupted(int) {
  take_away();
  ::_exit(static_cast<int>(exit_code::interrupted));
}

} // namespace

std::string progress_text(const std::string& what, std::chrono::seconds elapsed) {
  return fmt::format("{}: {} s; Ctrl-C ends the waiting, not the work", what, elapsed.count());
}

progress_line::~progress_line() { take_away(); }

void progress_line::show(std::chrono::seconds elapsed) {
  if (on_) {
    shown = 1;
    put(std::string{erase} + progress_text(what_, elapsed));
  }
}

void end_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = interrupted;
  static_cast<void>(::sigaction(SIGINT, &action, nullptr));
}

} // namespace client_program
