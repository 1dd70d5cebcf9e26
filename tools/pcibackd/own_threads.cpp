// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/own_threads.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include <unistd.h>

namespace daemon_program {
namespace {

// Of /proc/PID/task/TID/stat: the name is in parentheses, and may have some in it (proc(5)).
std::optional<actors::thread_account> parse_stat(const std::string& text) {
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) {
    return std::nullopt;
  }
  actors::thread_account found;
  std::from_chars(text.data(), text.data() + open, found.id);
  found.name = text.substr(open + 1, close - open - 1);
  std::istringstream rest(text.substr(close + 1));
  rest >> found.state;
  std::string skipped;
  for (int field = 4; field < 14; ++field) {
    rest >> skipped;
  }
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  rest >> user >> system;
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  found.processor = std::chrono::milliseconds((user + system) * 1000 / ticks);
  return rest ? std::optional{found} : std::nullopt;
}

std::vector<actors::thread_account> threads_below(const std::filesystem::path& tasks) {
  std::vector<actors::thread_account> all;
  std::error_code gone;
  for (std::filesystem::directory_iterator each(tasks, gone), end; !gone && each != end; each.increment(gone)) {
    std::ifstream file(each->path() / "stat");
    std::string text;
    if (std::getline(file, text)) {
      if (auto found = parse_stat(text)) {
        all.push_back(std::move(*found));
      }
    }
  }
  std::ranges::sort(all, {}, &actors::thread_account::id);
  return all;
}

} // namespace

std::vector<actors::thread_account> own_threads() { return threads_below("/proc/self/task"); }

std::vector<actors::thread_account> threads_of(pid_t process) {
  return threads_below("/proc/" + std::to_string(process) + "/task");
}

} // namespace daemon_program
