#include "actors/device/serving.hpp"

#include "pci/config_space/registers.hpp"

namespace actors {

serving::serving(std::shared_ptr<hardware> device, messages::domain_id domain, std::shared_ptr<guest_log> log)
    : device_(std::move(device)), domain_(domain), log_(std::move(log)) {}

pci::answer serving::operate(const pci::request& what) {
  const std::lock_guard lock(mutex_);
  if (ended_) {
    return {pci::op_error::dev_not_found, what.value, {}};
  }
  ++counts_.operations;
  if (suspended_) {
    ++counts_.refused;
    // What an absent function reads as.
    const bool reads = what.code == static_cast<std::uint32_t>(pci::op_code::conf_read);
    return {pci::op_error::op_failed, reads ? 0xffffffff : what.value, {}};
  }
  auto answer = device_->operate(what);
  if (answer.error != pci::op_error::success) {
    ++counts_.refused;
  }
  log(what, answer.error);
  look_at_mastering();
  return answer;
}

// The end of a daemon that listens to uio takes bus mastering from the function, and no register tells then whether the
// guest had it on.
void serving::look_at_mastering() {
  if (masters() != masters_ && device_->has_handler() && when_to_note_ && !std::exchange(noting_, true)) {
    when_to_note_();
  }
}

bool serving::masters() const { return (device_->view().state().command & pci::reg::command_master) != 0; }

void serving::when_to_note(std::function<void()> what) {
  const std::lock_guard lock(mutex_);
  when_to_note_ = std::move(what);
}

void serving::noted() {
  const std::lock_guard lock(mutex_);
  noting_ = false;
  masters_ = masters();
}

void serving::suspend(bool on) {
  const std::lock_guard lock(mutex_);
  suspended_ = on;
}

bool serving::suspended() const {
  const std::lock_guard lock(mutex_);
  return suspended_;
}

void serving::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
}

serving::counts serving::count() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void serving::log(const pci::request& what, pci::op_error error) {
  switch (static_cast<pci::op_code>(what.code)) {
  case pci::op_code::conf_read:
    return;
  case pci::op_code::conf_write:
    if (device_->take_dropped_write_warning()) {
      const auto address = pci::to_string(device_->description().address);
      log_->write(
          spdlog::level::info,
          "{}: domain {} wrote {:x} (size {}), which no field covers: dropped; `pcibackctl writes {}` tells of all",
          address, domain_, what.offset, what.size, address);
    }
    return;
  default:
    break;
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

} // namespace actors
