// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/reload.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/document.hpp"
#include "config/reader.hpp"

namespace daemon_program {
namespace {

// Where something stands in the file is no part of what it means.
bool same(const config::device& one, const config::device& other) {
  return one.match == other.match && one.hold == other.hold && one.seize == other.seize &&
         one.keep_policy == other.keep_policy && one.override_boot == other.override_boot && one.pin == other.pin &&
         one.policy == other.policy;
}
bool same(const config::guest& one, const config::guest& other) {
  return one.match == other.match && one.hot_plug == other.hot_plug;
}
bool same(const config::assignment& one, const config::assignment& other) {
  return one.domain == other.domain && one.devices == other.devices;
}
template <class T>
bool same(const std::vector<T>& one, const std::vector<T>& other) {
  return std::ranges::equal(one, other, [](const T& left, const T& right) { return same(left, right); });
}

} // namespace

settings_change compare(const config::settings& now, const config::settings& next) {
  settings_change all;
  const auto note = [](std::vector<std::string>& keys, bool changed, const char* key) {
    if (changed) {
      keys.emplace_back(key);
    }
  };
  note(all.taken, now.level != next.level, "log_level");
  note(all.taken, now.permissive != next.permissive, "permissive");
  note(all.taken, now.frontend_patience != next.frontend_patience, "frontend_patience_ms");
  note(all.taken, now.aer_patience != next.aer_patience, "aer_patience_s");
  note(all.taken, now.interrupt_rate != next.interrupt_rate, "interrupt_rate");
  note(all.taken, now.access_rate != next.access_rate, "access_rate");
  note(all.taken, now.polling.longest != next.polling.longest, "poll_us");
  note(all.taken, now.polling.share != next.polling.share, "poll_share");
  note(all.taken, now.hide != next.hide, "hide");
  note(all.taken, !same(now.devices, next.devices), "[[device]]");
  note(all.taken, !same(now.guests, next.guests), "[[guest]]");
  note(all.taken, !same(now.assignments, next.assignments), "[[assign]]");
  note(all.restart, !now.socket_given && now.socket != next.socket, "socket");
  note(all.restart, now.runtime != next.runtime, "runtime");
  note(all.restart, now.metrics_file != next.metrics_file, "metrics_file");
  note(all.restart, now.topology != next.topology, "topology");
  note(all.restart, now.function_numbers != next.function_numbers, "function_numbers");
  note(all.restart, now.line_rate != next.line_rate, "line_rate");
  all.merged = next;
  all.merged.file = now.file;
  all.merged.socket_given = now.socket_given;
  all.merged.socket = now.socket;
  all.merged.runtime = now.runtime;
  all.merged.metrics_file = now.metrics_file;
  all.merged.topology = now.topology;
  all.merged.function_numbers = now.function_numbers;
  all.merged.line_rate = now.line_rate;
  return all;
}

pci::result<settings_change> reloader::take(const std::string& text, const std::string& name) {
  return config::parse(text, name).map([this](config::settings next) {
    const std::lock_guard lock(mutex_);
    auto what = compare(now_, adapt_ ? adapt_(std::move(next)) : std::move(next));
    if (!what.taken.empty()) {
      now_ = what.merged;
      apply_(now_);
    }
    return what;
  });
}

pci::result<settings_change> reloader::take_file() {
  const auto file = [this] {
    const std::lock_guard lock(mutex_);
    return now_.file;
  }();
  if (file.empty()) {
    return pci::fail(ENOENT, "the daemon was started without a file of settings; start it with --config FILE");
  }
  return read_(file).and_then([&](const std::string& text) { return take(text, file); });
}

std::string summary_of(const settings_change& what) {
  auto text = what.taken.empty() ? std::string{"settings: nothing that can be taken over has changed"}
                                 : fmt::format("settings taken over: {}", fmt::join(what.taken, ", "));
  return what.restart.empty() ? text : text + fmt::format("; these need a restart: {}", fmt::join(what.restart, ", "));
}

} // namespace daemon_program
