// SPDX-License-Identifier: GPL-2.0-or-later
// How a function is reset between two guests, whom that may hit, and what is done when it does not come back.
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/device/hardware.hpp"
#include "pci/config_space/answered.hpp"
#include "pci/config_space/registers.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

// What the kernel has waited for already is not waited for again; this is for cards that answer once and think again.
constexpr std::array settle_times{0ms, 10ms, 20ms, 70ms};

std::string names_of(const std::vector<pci::sbdf>& all) {
  std::string names;
  for (const auto& each : all) {
    names += (names.empty() ? "" : ", ") + pci::to_string(each);
  }
  return names;
}

} // namespace

// STATUS and the vendor's id, which of a virtual function reads all ones in health.
bool hardware::answers() {
  const auto status = pci::read_answered(*port_, pci::reg::status, 2);
  const auto vendor = port_->read(pci::reg::vendor_id, 2);
  return status && *status != 0xffff && vendor && *vendor == description_.copy(pci::reg::vendor_id, 2);
}

bool hardware::comes_back() {
  for (const auto wait : settle_times) {
    std::this_thread::sleep_for(wait);
    if (answers()) {
      return true;
    }
  }
  return false;
}

// Done, and it came back.
pci::result<void> hardware::reset_by(const pci::reset_option& option, idle_functions::loan& others) {
  const auto name = to_string(option.method);
  const bool was_alive = answers();
  if (auto done = host_.pci().reset(description_.address, option.method); !done) {
    return done;
  }
  others.set_reset();
  if (comes_back()) {
    return {};
  }
  if (was_alive) { // otherwise it is not to blame
    // Unlimited: once a card and method, which is not used again.
    spdlog::error(
        "{} ({:04x}:{:04x}) is silent after its reset by {}, which is not used again until the host is booted",
        pci::to_string(description_.address), description_.vendor, description_.device, name);
    resets_->note_fatal(description_, option.method);
  }
  return pci::fail(EIO, fmt::format("{} is silent after its reset by {}", pci::to_string(description_.address), name));
}

// The best method that hits nobody who would mind. That a function has none is common, and no failure; but it is told.
// EINPROGRESS: `waits_for` have to let go of what they share first.
pci::result<void> hardware::reset() {
  const std::lock_guard lock(binding_mutex_);
  waits_for_.clear();
  no_reset_.clear();
  const auto options = host_.pci().reset_options(description_.address);
  if (!options) {
    return tl::unexpected(options.error());
  }
  pci::result<void> outcome;
  std::string_view shared;
  for (const auto& option : *options) {
    const auto name = to_string(option.method);
    if (resets_->is_fatal(description_, option.method)) {
      no_reset_ += fmt::format("{}{} kills it", no_reset_.empty() ? "" : ", ", name);
      continue;
    }
    idle_functions::loan others(registry_->idle, option.hits);
    if (others.verdict() == pci::reset_verdict::hits_foreign) {
      no_reset_ +=
          fmt::format("{}{} would hit {}, not held", no_reset_.empty() ? "" : ", ", name, names_of(others.blockers()));
    } else if (others.verdict() == pci::reset_verdict::hits_busy) {
      if (waits_for_.empty()) {
        shared = name;
        waits_for_ = others.blockers();
      }
    } else if (auto done = reset_by(option, others); done) {
      waits_for_.clear();
      no_reset_.clear();
      return done;
    } else if (done.error().error != ENOTSUP) {
      outcome = done;
    }
  }
  if (!waits_for_.empty()) {
    return pci::fail(EINPROGRESS,
                     fmt::format("it shares its reset by {} with {}, which has to be taken from its guest too", shared,
                                 names_of(waits_for_)));
  }
  if (outcome && !answers()) {
    return pci::fail(ENODEV, fmt::format("{} is silent{}{}", pci::to_string(description_.address),
                                         no_reset_.empty() ? "" : ", and was not reset: ", no_reset_));
  }
  if (outcome) {
    no_reset_ = no_reset_.empty() ? "it cannot be reset: what a guest has left inside stays"
                                  : fmt::format("it was not reset: {}", no_reset_);
  }
  return outcome;
}

} // namespace actors
