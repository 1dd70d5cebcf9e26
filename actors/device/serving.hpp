// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "actors/device/hardware.hpp"
#include "actors/guest_log.hpp"
#include "actors/journal/record.hpp"
#include "messages/types.hpp"

namespace actors {

/// A guest's time with a leased function: what carries out its operations, on the thread that serves the guest. The
/// device actor and the line use the hardware beside it, one at a time with its operations; what need not be done at
/// once they leave to be done `soon`, and what they only want to know they are told while an operation takes its time.
/// Thread-safe.
class serving final : public messages::function_access {
public:
  struct counts {
    std::uint64_t operations = 0;
    std::uint64_t refused = 0;
  };
  /// Called with the hardware's lock held; they must return at once, but for the time that the journal takes.
  struct listeners {
    /// A guest's operation has changed its interrupts: before the guest is answered.
    std::function<void(const function_record&)> interrupts_changed;
    /// Likewise what else the next daemon cannot read in the hardware. Also when the guest's time begins.
    std::function<void(const pci::guest_state&)> state_changed;
    /// There was an exception: a bug. The lease is to end; nothing is carried out any more.
    std::function<void()> failed;
  };

  serving(std::shared_ptr<hardware> device, messages::domain_id domain, std::shared_ptr<guest_log> log,
          listeners told = {});

  // -- the guest's thread

  /// Dev_not_found after `end`.
  pci::answer operate(const pci::request& what) override;
  [[nodiscard]] std::shared_ptr<const pci::function> description() const override {
    return {device_, &device_->description()};
  }
  [[nodiscard]] pci::sbdf address() const override { return device_->description().address; }

  // -- anybody

  /// While suspended, operations are refused at once: the kernel resets the function, and an access would wait for as
  /// long as that takes. One may be under way still; see `await_operation`.
  void suspend(bool on) {
    suspended_ = on;
    do_waiting();
  }
  [[nodiscard]] bool suspended() const { return suspended_; }
  void await_operation() { const std::lock_guard lock(mutex_); }
  /// After this returns the guest's operations do not reach the hardware any more.
  void end();
  [[nodiscard]] counts count() const { return {operations_, refused_}; }

  // -- as of the last operation that has ended, without waiting for one that is under way

  [[nodiscard]] function_record record() const;
  [[nodiscard]] pci::interrupt_mode mode() const { return mode_; }
  [[nodiscard]] bool has_handler() const { return device_->has_handler(); }
  [[nodiscard]] const users::guest& whose() const { return whose_; }
  /// A driver of the guest's has the function, as far as can be seen: it masters the bus, or has vectors.
  [[nodiscard]] bool is_in_use() const;
  [[nodiscard]] pci::refused_writes refused_writes() const;

  // -- the hardware

  /// Calls `use` with the hardware while no operation is under way: waits for as long as that takes.
  template <class Use>
  auto exclusively(Use use) {
    const alone hold(*this);
    return use(*device_);
  }
  using task = std::function<void(hardware&)>;
  /// To be done with the hardware before the next operation; at once by `do_waiting` unless one is under way, else by
  /// who does that one. Not after `end`.
  void soon(task what);
  void do_waiting();

private:
  /// Has the hardware to itself; what is waiting is done at its end.
  class alone {
  public:
    explicit alone(serving& all) : all_(all), lock_(all.mutex_) {}
    alone(const alone&) = delete;
    alone& operator=(const alone&) = delete;
    ~alone() {
      static_cast<void>(all_.publish(true));
      lock_.unlock();
      all_.do_waiting();
    }

  private:
    serving& all_;
    std::unique_lock<std::mutex> lock_;
  };

  [[nodiscard]] pci::answer operate_alone(const pci::request& what);
  [[nodiscard]] bool publish(bool interrupts);
  void do_tasks();
  void tell_state();
  void log(const pci::request& what, pci::op_error error);

  std::mutex mutex_; ///< of the hardware: the only one that is held across an access to it
  std::shared_ptr<hardware> device_;
  messages::domain_id domain_;
  users::guest whose_;
  std::shared_ptr<guest_log> log_; ///< of all leases, one after the other
  listeners told_;
  std::atomic<bool> ended_{false}, suspended_{false};
  std::atomic<std::uint64_t> operations_{0}, refused_{0};
  std::atomic<pci::interrupt_mode> mode_{pci::interrupt_mode::intx};
  std::atomic<bool> waiting_{false}; ///< there are tasks

  mutable std::mutex known_mutex_; ///< of what follows; held for moments
  function_record known_;
  pci::refused_writes known_refused_;
  std::vector<task> tasks_;
};

} // namespace actors
