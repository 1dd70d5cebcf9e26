// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/serving.hpp"

#include <algorithm>

#include "pci/config_space/registers.hpp"

namespace actors {
namespace {

bool masters(std::uint16_t command) { return (command & pci::reg::command_master) != 0; }

} // namespace

serving::serving(std::shared_ptr<hardware> device, messages::domain_id domain, std::shared_ptr<guest_log> log,
                 listeners told)
    : device_(std::move(device)), domain_(domain), whose_(device_->whose()), log_(std::move(log)),
      told_(std::move(told)), known_(device_->record()) {
  static_cast<void>(publish(true));
  tell_state();
}

// -- the guest's operations

pci::answer serving::operate(const pci::request& what) {
  auto answer = operate_alone(what);
  do_waiting();
  return answer;
}

pci::answer serving::operate_alone(const pci::request& what) try {
  const std::lock_guard lock(mutex_);
  if (ended_) {
    return {pci::op_error::dev_not_found, what.value, {}};
  }
  const bool reads = what.code == static_cast<std::uint32_t>(pci::op_code::conf_read);
  ++operations_;
  if (suspended_) {
    ++refused_;
    // What an absent function reads as.
    return {pci::op_error::op_failed, reads ? 0xffffffff : what.value, {}};
  }
  do_tasks();
  auto answer = device_->operate(what);
  if (answer.error != pci::op_error::success) {
    ++refused_;
  }
  if (reads) {
    return answer;
  }
  if (publish(what.code != static_cast<std::uint32_t>(pci::op_code::conf_write)) && told_.interrupts_changed) {
    told_.interrupts_changed(record());
  }
  tell_state();
  log(what, answer.error);
  return answer;
} catch (const std::exception& bug) {
  ended_ = true;
  // Unlimited: once a lease.
  spdlog::critical("{}: carrying out an operation failed: {}; this is a bug",
                   pci::to_string(device_->description().address), bug.what());
  if (told_.failed) {
    told_.failed();
  }
  return {pci::op_error::dev_not_found, what.value, {}};
}

// With the hardware's lock held. True: its interrupts are others than they were. `interrupts`: they may be.
bool serving::publish(bool interrupts) {
  const auto& refused = device_->view().refused();
  const std::lock_guard lock(known_mutex_);
  if (refused.count() != known_refused_.count()) {
    known_refused_ = refused;
  }
  device_->refresh_command(known_);
  if (!interrupts) {
    return false;
  }
  const auto& now = device_->interrupts();
  const bool changed = now.mode() != known_.mode || !std::ranges::equal(now.vectors(), known_.vectors);
  device_->refresh(known_);
  mode_ = known_.mode;
  return changed;
}

void serving::tell_state() {
  if (told_.state_changed) {
    told_.state_changed(device_->view().state());
  }
}

void serving::log(const pci::request& what, pci::op_error error) {
  if (what.code == static_cast<std::uint32_t>(pci::op_code::conf_write)) {
    if (device_->take_dropped_write_warning()) {
      const auto address = pci::to_string(device_->description().address);
      log_->write(
          spdlog::level::info,
          "{}: domain {} wrote {:x} (size {}), which no field covers: dropped; `pcibackctl writes {}` lists them all",
          address, domain_, what.offset, what.size, address);
    }
    return;
  }
  const auto& interrupts = device_->interrupts();
  if (const auto& failure = interrupts.last_failure()) {
    log_->write(spdlog::level::warn, "{}: domain {}: operation {}: {}", pci::to_string(device_->description().address),
                domain_, what.code, pci::to_string(*failure));
  } else if (error == pci::op_error::success) {
    log_->write(spdlog::level::info, "{}: domain {} uses {}, {} vectors",
                pci::to_string(device_->description().address), domain_, messages::to_string(interrupts.mode()),
                interrupts.vectors().size());
  }
}

void serving::end() {
  ended_ = true;
  await_operation();
}

// -- what others have done with the hardware

void serving::soon(task what) {
  const std::lock_guard lock(known_mutex_);
  tasks_.push_back(std::move(what));
  waiting_ = true;
}

// Who has the hardware when this looks does it at its end, for then it looks too. While the kernel resets the function
// nothing is done: the operation after that begins with it.
void serving::do_waiting() {
  while (waiting_ && !suspended_) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) {
      return;
    }
    do_tasks();
  }
}

// With the hardware's lock held.
void serving::do_tasks() {
  if (!waiting_) {
    return;
  }
  std::vector<task> now;
  {
    const std::lock_guard lock(known_mutex_);
    now.swap(tasks_);
    waiting_ = false;
  }
  for (const auto& what : now) {
    if (!ended_) {
      what(*device_);
    }
  }
}

// -- what others know

function_record serving::record() const {
  const std::lock_guard lock(known_mutex_);
  auto what = known_;
  what.holder = device_->holder(); // bound to another beside its operations, perhaps
  return what;
}

// By what the guest has written: the hardware may have lost it.
bool serving::is_in_use() const {
  const std::lock_guard lock(known_mutex_);
  return masters(known_.command) || !known_.vectors.empty();
}

pci::refused_writes serving::refused_writes() const {
  const std::lock_guard lock(known_mutex_);
  return known_refused_;
}

} // namespace actors
