// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/trace.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "pci/config_space/register_names.hpp"

namespace actors {

namespace {

// Two looks at two clocks are never quite as far apart as the last two: as long as nobody sets the clock the first look
// holds, so that times in a trace do not jump, and are the same in each.
std::chrono::system_clock::duration epoch_of_steady_clock() {
  using duration = std::chrono::system_clock::duration;
  static std::atomic<duration> kept{duration{0}};
  const duration now = std::chrono::system_clock::now().time_since_epoch() -
                       std::chrono::duration_cast<duration>(std::chrono::steady_clock::now().time_since_epoch());
  const auto before = kept.load(std::memory_order_relaxed);
  if (std::chrono::abs(now - before) > std::chrono::milliseconds(1)) {
    kept.store(now, std::memory_order_relaxed);
    return now;
  }
  return before;
}

} // namespace

// -- between two threads

std::uint64_t trace_ring::take(std::vector<trace_record>& into) {
  auto tail = tail_.load(std::memory_order_relaxed);
  for (const auto head = head_.load(std::memory_order_acquire); tail != head; ++tail) {
    into.push_back(records_[tail % room]);
  }
  tail_.store(tail, std::memory_order_release);
  return lost_.exchange(0, std::memory_order_relaxed);
}

void trace_ring::clear() {
  tail_.store(head_.load(std::memory_order_acquire), std::memory_order_release);
  lost_.store(0, std::memory_order_relaxed);
}

// -- one connection

void trace_tap::answered(const trace_record& what) {
  if (pending_) { // of an event that was for something else as well: nobody has said how long it took
    tell(what.begun, std::chrono::nanoseconds(0));
  }
  last_ = what;
  last_.domain = domain_;
  pending_ = true;
}

void trace_tap::tell(std::chrono::nanoseconds begun, std::chrono::nanoseconds time) {
  pending_ = false;
  last_.begun = begun;
  last_.took = time;
  if (auto* ring = ring_.load(std::memory_order_acquire)) {
    ring->push(last_);
  }
}

void trace_tap::show(const messages::function_access& what) {
  const std::lock_guard lock(mutex_);
  functions_.insert_or_assign(what.address(), what.description());
}

bool trace_tap::is_called(const std::string& text) const {
  return text == fmt::format("{}", domain_) || text == guest_ || guest_.starts_with(text + " (");
}

void trace_tap::turn(bool on) {
  if (on && !own_) {
    own_ = std::make_unique<trace_ring>();
  }
  if (on && !wanted()) {
    own_->clear();
  }
  ring_.store(on ? own_.get() : nullptr, std::memory_order_release);
}

std::string trace_tap::register_name(const pci::sbdf& function, std::uint16_t offset) const {
  const std::lock_guard lock(mutex_);
  const auto found = functions_.find(function);
  const auto what = found == functions_.end() ? nullptr : found->second.lock();
  return what ? pci::register_name(*what, offset) : std::string{};
}

// -- all of them

std::shared_ptr<trace_tap> trace_hub::open(messages::domain_id domain, std::string guest) {
  auto made = std::make_shared<trace_tap>(domain, std::move(guest));
  const std::lock_guard lock(mutex_);
  taps_.emplace_back(made);
  turn();
  return made;
}

// With the lock held, as all that follows.
std::vector<std::shared_ptr<trace_tap>> trace_hub::taps() {
  std::vector<std::shared_ptr<trace_tap>> all;
  std::erase_if(taps_, [&all](const std::weak_ptr<trace_tap>& each) {
    if (auto tap = each.lock()) {
      all.push_back(std::move(tap));
      return false;
    }
    return true;
  });
  return all;
}

bool trace_hub::wants(const trace& who, const trace_tap& tap) {
  return who.what.guest.empty() || tap.is_called(who.what.guest);
}

bool trace_hub::wants(const trace& who, const trace_record& what) {
  return !who.what.function || (what.found && what.function == *who.what.function);
}

void trace_hub::turn() {
  std::size_t on = 0;
  for (const auto& tap : taps()) {
    const bool wanted = std::ranges::any_of(traces_, [&](const auto& each) { return wants(each.second, *tap); });
    tap->turn(wanted && on < most_guests);
    on += tap->wanted() ? 1 : 0;
  }
}

void trace_hub::collect() {
  std::vector<trace_record> come;
  std::vector<std::pair<trace*, waiting>> all;
  for (const auto& tap : taps()) {
    come.clear();
    const auto lost = tap->take(come);
    for (auto& [number, who] : traces_) {
      if (!wants(who, *tap)) {
        continue;
      }
      who.lost += lost;
      for (const auto& each : come) {
        if (wants(who, each)) {
          all.emplace_back(&who, waiting{each, tap});
        }
      }
    }
  }
  std::ranges::stable_sort(all, {}, [](const auto& each) { return each.second.what.begun; });
  for (auto& [who, what] : all) {
    if (who->operations.size() < most_waiting) {
      who->operations.push_back(std::move(what));
    } else {
      ++who->lost;
    }
  }
}

pci::result<trace_batch> trace_hub::take(std::uint64_t number, const trace_filter& what) {
  const std::lock_guard lock(mutex_);
  if (!traces_.contains(number) && traces_.size() >= most_traces) {
    return pci::fail(EBUSY,
                     fmt::format("there are {} traces already, which is the most; end one of them", most_traces));
  }
  auto& own = traces_[number];
  own.what = what;
  collect();
  turn();
  trace_batch batch;
  batch.epoch = epoch_of_steady_clock();
  for (const auto& tap : taps()) {
    if (wants(own, *tap)) {
      ++(tap->wanted() ? batch.guests : batch.untraced);
    }
  }
  while (!own.operations.empty() && batch.operations.size() < at_once) {
    const auto& [record, tap] = own.operations.front();
    const bool accesses = record.code <= static_cast<std::uint32_t>(pci::op_code::conf_write);
    batch.operations.push_back({record, tap->guest(),
                                accesses && record.found && record.offset >= 0 && record.offset <= 0xffff
                                    ? tap->register_name(record.function, static_cast<std::uint16_t>(record.offset))
                                    : std::string{}});
    own.operations.pop_front();
  }
  batch.more = !own.operations.empty();
  batch.lost = batch.more ? 0 : std::exchange(own.lost, 0); // they came after all that had found room
  return batch;
}

void trace_hub::end(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  traces_.erase(number);
  turn();
}

} // namespace actors
