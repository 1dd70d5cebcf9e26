// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/log.hpp"

#include <chrono>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "tools/pcibackd/system_journal.hpp"

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

/// Of events, where the log goes to the journal. Set once, likewise.
std::unique_ptr<event_recorder>& recorder() {
  static std::unique_ptr<event_recorder> events;
  return events;
}

// The first record has systemd's library open its socket, for which the process without rights is too late.
spdlog::sink_ptr begin_journal(const std::string& version) {
  const auto begun =
      send_record({"SYSLOG_IDENTIFIER=pcibackd", fmt::format("PRIORITY={}", priority_of(spdlog::level::info)),
                   fmt::format("MESSAGE=pcibackd {} begins", version), fmt::format("MESSAGE_ID={}", beginning_id)});
  if (begun < 0) {
    return make_journal_sink([begun](const record_fields&) { return begun; });
  }
  recorder() = std::make_unique<event_recorder>(send_record);
  return make_journal_sink(send_record);
}

} // namespace

std::vector<std::string> recent_log() {
  const auto kept = kept_lines();
  return kept ? kept->last_formatted() : std::vector<std::string>{};
}

void set_log_level(config::log_level level) { spdlog::set_level(level_of(level)); }

void start_log(config::log_level level, const std::string& version) {
  spdlog::sink_ptr to = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  to->set_pattern(pattern);
  if (stderr_is_journal()) {
    to = begin_journal(version);
  }
  auto logger = std::make_shared<spdlog::logger>("pcibackd", std::move(to));
  auto kept = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(lines_kept);
  kept->set_pattern(pattern);
  logger->sinks().push_back(kept);
  kept_lines() = std::move(kept);
  logger->set_level(level_of(level));
  spdlog::set_default_logger(std::move(logger));
}

void record_event(const actors::event& what) {
  if (recorder() && spdlog::should_log(importance_of(what.what))) {
    recorder()->tell(what, std::chrono::steady_clock::now().time_since_epoch());
  }
}

void notify_service_manager(const std::string& state) { static_cast<void>(::sd_notify(0, state.c_str())); }

std::chrono::microseconds service_watchdog() {
  std::uint64_t microseconds = 0;
  return std::chrono::microseconds(::sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds : 0);
}

} // namespace daemon_program
