// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <string>

namespace client_program {

/// A line on standard error while something takes long, which the destructor takes away again. Not thread-safe, one at
/// a time.
class progress_line {
public:
  /// `on`: standard error is a terminal; else nothing is ever shown.
  progress_line(std::string what, bool on) : what_(std::move(what)), on_(on) {}
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;
  ~progress_line();

  /// Once a second, from the first second on.
  void show(std::chrono::seconds elapsed);

private:
  std::string what_;
  bool on_;
};

/// "hold 0000:03:00.0: 3 s; Ctrl-C ends the waiting, not the work"
[[nodiscard]] std::string progress_text(const std::string& what, std::chrono::seconds elapsed);

/// From now on SIGINT ends the process at once, with 130, and takes the line away first.
void end_on_interrupt();

} // namespace client_program
