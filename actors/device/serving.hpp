#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "actors/device/hardware.hpp"
#include "actors/guest_log.hpp"
#include "messages/types.hpp"

namespace actors {

/// A guest's time with a leased function: what carries out its operations. The guest's connection calls it for
/// configuration accesses, without a message to the device actor (see connection for the reason), the device actor for
/// all else. Two threads can meet here, hence the lock; it is uncontended, for a guest has one operation at a time.
/// Thread-safe.
class serving final : public messages::config_access {
public:
  struct counts {
    std::uint64_t operations = 0;
    std::uint64_t refused = 0;
  };

  serving(std::shared_ptr<hardware> device, messages::domain_id domain, std::shared_ptr<guest_log> log);

  /// Dev_not_found after `end`.
  pci::answer operate(const pci::request& what) override;
  /// While suspended, operations are refused at once: the kernel resets the function, and an access would wait for as
  /// long as that takes.
  void suspend(bool on);
  [[nodiscard]] bool suspended() const;
  /// After this returns the guest's operations do not reach the hardware any more.
  void end();
  [[nodiscard]] counts count() const;
  /// `what` is called when the guest has done something that the journal is to know of, and not again until `noted`. It
  /// must return at once.
  void when_to_note(std::function<void()> what);
  /// It is noted next.
  void noted();

  /// Calls `use` with the hardware while no operation is under way.
  template <class Use>
  auto exclusively(Use use) {
    const std::lock_guard lock(mutex_);
    return use(*device_);
  }

private:
  void look_at_mastering();
  [[nodiscard]] bool masters() const;
  void log(const pci::request& what, pci::op_error error);

  mutable std::mutex mutex_;
  std::shared_ptr<hardware> device_;
  messages::domain_id domain_;
  bool ended_ = false;
  bool suspended_ = false;
  counts counts_;
  std::function<void()> when_to_note_;
  bool noting_ = false;
  bool masters_ = false;           ///< as it was noted last
  std::shared_ptr<guest_log> log_; ///< of all leases, one after the other
};

} // namespace actors
