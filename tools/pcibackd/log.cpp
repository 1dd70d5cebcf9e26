// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/log.hpp"

#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace daemon_program {
namespace {

spdlog::level::level_enum level_of(config::log_level level) {
  switch (level) {
  case config::log_level::trace:
    return spdlog::level::trace;
  case config::log_level::debug:
    return spdlog::level::debug;
  case config::log_level::info:
    return spdlog::level::info;
  case config::log_level::warning:
    return spdlog::level::warn;
  case config::log_level::error:
    return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// A message's level as the journal takes it from a line's beginning (sd-daemon(3)): so a process that can open nothing
/// has priorities too.
class priority_flag final : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*when*/, spdlog::memory_buf_t& to) override {
    const char digit = message.level <= spdlog::level::debug  ? '7'
                       : message.level == spdlog::level::info ? '6'
                       : message.level == spdlog::level::warn ? '4'
                       : message.level == spdlog::level::err  ? '3'
                                                              : '2';
    to.push_back(digit);
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<priority_flag>();
  }
};

constexpr const char* pattern = "%Y-%m-%d %H:%M:%S.%e %l: %v";
constexpr std::size_t lines_kept = 200;

/// Beside where the log goes: for a report of what went wrong. Set once, before any thread is made.
std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt>& kept_lines() {
  static std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> kept;
  return kept;
}

// The variable is inherited by children whose standard error is another file: device and inode say whether it is the
// journal's (systemd.exec(5), JOURNAL_STREAM).
bool stderr_is_journal() {
  const auto* stream = std::getenv("JOURNAL_STREAM");
  struct stat found {};
  return stream != nullptr && ::fstat(STDERR_FILENO, &found) == 0 &&
         fmt::format("{}:{}", found.st_dev, found.st_ino) == stream;
}

} // namespace

std::vector<std::string> recent_log() {
  const auto kept = kept_lines();
  return kept ? kept->last_formatted() : std::vector<std::string>{};
}

void set_log_level(config::log_level level) { spdlog::set_level(level_of(level)); }

void start_log(config::log_level level) {
  auto logger = std::make_shared<spdlog::logger>("pcibackd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (stderr_is_journal()) {
    auto form = std::make_unique<spdlog::pattern_formatter>();
    form->add_flag<priority_flag>('*').set_pattern("<%*>%v");
    logger->set_formatter(std::move(form));
  } else {
    logger->set_pattern(pattern);
  }
  auto kept = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(lines_kept);
  kept->set_pattern(pattern);
  logger->sinks().push_back(kept);
  kept_lines() = std::move(kept);
  logger->set_level(level_of(level));
  spdlog::set_default_logger(std::move(logger));
}

void notify_service_manager(const std::string& state) { static_cast<void>(::sd_notify(0, state.c_str())); }

} // namespace daemon_program
