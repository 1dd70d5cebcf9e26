// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pci/protocol/shared_page.hpp"
#include "platform/sim/frontend.hpp"
#include "platform/sim/violation.hpp"

namespace sim_test {

using namespace platform;

/// Writes down what the host tells the daemon.
class recording_sink : public event_sink {
public:
  void store_changed(const std::string& path, const std::string& token) override {
    changes.push_back(token + " " + path);
  }
  void line_interrupts(std::span<const pci::sbdf> addresses) override {
    lines.insert(lines.end(), addresses.begin(), addresses.end());
  }
  void function_removed(const pci::sbdf& address) override { removed.push_back(address); }
  void function_added(const pci::sbdf& address) override { added.push_back(address); }
  void lost(std::string_view, const std::string&) override {}

  std::vector<std::string> changes;
  std::vector<pci::sbdf> lines, removed, added;
};

/// Collects violations instead of aborting, for its lifetime.
class violations {
public:
  violations() : before_(sim::set_violation_handler([this](const std::string& text) { texts.push_back(text); })) {}
  ~violations() { sim::set_violation_handler(before_); }
  violations(const violations&) = delete;
  violations& operator=(const violations&) = delete;
  std::vector<std::string> texts;

private:
  sim::violation_handler before_;
};

/// Waits by letting `step` run; when there is nothing left to do the clock goes on.
class stepping_waiter final : public sim::waiter {
public:
  stepping_waiter(sim::clock& time, std::function<bool()> step) : time_(&time), step_(std::move(step)) {}
  bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) override {
    using namespace std::chrono_literals;
    for (auto left = std::min(limit, std::chrono::nanoseconds(24h)); !condition(); left -= 100ms) {
      while (!condition() && step_()) {
      }
      if (condition())
        return true;
      if (left <= 0s)
        return false;
      time_->advance(100ms);
    }
    return true;
  }

private:
  sim::clock* time_;
  std::function<bool()> step_;
};

inline constexpr auto strict = pci::rdm_policy::strict;
inline const pci::sbdf slot3 = pci::make_sbdf(0, 0, 3, 0);
inline const pci::sbdf slot4 = pci::make_sbdf(0, 0, 4, 0);

inline sim::device_model model(std::string_view name, const pci::sbdf& address) {
  return sim::place(*sim::builtin_model(name), address);
}

/// errno of a result; 0: success.
template <class Result>
int error_of(const Result& result) {
  return result ? 0 : result.error().error;
}

} // namespace sim_test
