// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/look_json.hpp"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace actors::control {
namespace {

using json = nlohmann::ordered_json;

std::int64_t milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

json actor_of(const actor_account& who) {
  return {{"id", who.id},
          {"owner", who.owner == 0 ? json() : json(who.owner)},
          {"kind", who.kind},
          {"subject", who.subject},
          {"state", who.state},
          {"answers", who.answers},
          {"waiting", who.waiting},
          {"handled", who.handled},
          {"restarts", who.restarts},
          {"oldest_ms", who.oldest ? json(milliseconds(*who.oldest)) : json()},
          {"own_thread", who.own_thread}};
}

json thread_of(const thread_account& which) {
  return {{"id", which.id},
          {"name", which.name},
          {"state", std::string(1, which.state)},
          {"processor_ms", which.processor.count()}};
}

std::string text_of_time(std::chrono::system_clock::time_point when) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(since / 1000)), since % 1000);
}

} // namespace

json json_of(const std::vector<actor_account>& actors, const std::vector<thread_account>& threads) {
  auto all = json::array();
  for (const auto& who : actors) {
    all.push_back(actor_of(who));
  }
  auto running = json::array();
  for (const auto& which : threads) {
    running.push_back(thread_of(which));
  }
  return {{"actors", std::move(all)}, {"threads", std::move(running)}};
}

json json_of(const event& what) {
  return {{"time", text_of_time(what.when)},
          {"event", std::string{to_string(what.what)}},
          {"function", what.function ? json(pci::to_string(*what.function)) : json()},
          {"domain", what.domain ? json(*what.domain) : json()},
          {"guest", what.guest},
          {"detail", what.detail}};
}

} // namespace actors::control
