// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/process.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <malloc.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

/// The number in the line of `name` of a status file of /proc.
std::uint64_t field(const std::string& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) {
      const auto digits = line.find_first_of("0123456789");
      std::uint64_t value = 0;
      std::from_chars(line.data() + std::min(digits, line.size()), line.data() + line.size(), value);
      return value;
    }
  }
  return 0;
}

std::string told(const std::function<results()>& measure) {
  nlohmann::json answer;
  try {
    answer["results"] = measure();
  } catch (const std::exception& what) {
    answer["error"] = what.what();
  }
  return answer.dump();
}

void write_all(int to, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const auto size = ::write(to, text.data() + done, text.size() - done);
    if (size < 0) {
      return;
    }
    done += static_cast<std::size_t>(size);
  }
}

std::string read_all(int from) {
  std::string text;
  char piece[4096];
  for (ssize_t size = 0; (size = ::read(from, piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<std::size_t>(size));
  }
  return text;
}

} // namespace

results in_child(const std::function<results()>& measure) {
  int ends[2];
  if (::pipe(ends) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  std::fflush(stdout);
  const auto child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    write_all(ends[1], told(measure));
    std::fflush(stdout);
    ::_exit(0);
  }
  ::close(ends[1]);
  const auto text = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error(fmt::format("a measurement's process ended with status {:x}", status));
  }
  const auto answer = nlohmann::json::parse(text);
  if (answer.contains("error")) {
    throw std::runtime_error(answer.at("error").get<std::string>());
  }
  return answer.at("results").get<results>();
}

unsigned processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

bool pin_to(unsigned processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

bool run_when_woken() {
  const sched_param priority{1};
  return ::sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
}

residence resident() {
  ::malloc_trim(0);
  constexpr double kib = 1024;
  const std::string status = "/proc/self/status";
  return {static_cast<double>(field(status, "RssAnon")) / kib, static_cast<double>(field(status, "RssFile")) / kib};
}

double peak() { return static_cast<double>(field("/proc/self/status", "VmHWM")) / 1024; }

double peak_anew() {
  ::malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5; // proc(5): the peak's reset
  return peak();
}

std::set<int> threads() {
  std::set<int> numbers;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
    const auto name = each.path().filename().string();
    int number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    numbers.insert(number);
  }
  return numbers;
}

std::uint64_t context_switches(const std::set<int>& of) {
  std::uint64_t sum = 0;
  for (const auto number : of) {
    const auto status = fmt::format("/proc/self/task/{}/status", number);
    sum += field(status, "voluntary_ctxt_switches") + field(status, "nonvoluntary_ctxt_switches");
  }
  return sum;
}

} // namespace bench
