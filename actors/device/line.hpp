// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/device/serving.hpp"
#include "actors/environment.hpp"
#include "actors/guest_log.hpp"
#include "actors/pump/pump.hpp"
#include "pci/interrupts/intx_line.hpp"
#include "pci/interrupts/spurious_watch.hpp"
#include "pci/interrupts/storm_limiter.hpp"

namespace actors {

/// The interrupt line of one held function: acknowledges a guest's interrupts where dom0 shares the line, at a bounded
/// rate, and watches what becomes of the line in dom0. The thread that hears of interrupts lets INTx through again by
/// itself, for a message to the actor would double the way; the device actor begins, ends, switches and looks.
/// Thread-safe.
class line final : public line_service {
public:
  using duration = platform::clock::duration;

  line(environment_ptr all, const pci::sbdf& address);

  // -- the device actor's

  /// Empty: a guest may have the function. EBUSY: dom0's drivers use the line too, and `policy` refuses that.
  [[nodiscard]] std::optional<pci::failure> refusal(const hardware& device, pci::line_policy policy);
  /// A guest has the function from now on, and it is bound to the holder that the line needs if that could be.
  void begin(std::shared_ptr<serving> guest, pci::line_policy policy);
  /// A guest of an earlier instance has it, whose interrupts dom0's handler may have masked since that ended.
  /// `enabled`: the administrator's switch, as it was. Look at once afterwards.
  void resume(std::shared_ptr<serving> guest, pci::line_policy policy, bool enabled);
  /// The guest's time is over; its function is quiet, or about to be.
  void end();
  /// The daemon stops and its guest runs on: the guest must need nobody for its interrupts. Blocks for as long as the
  /// kernel takes to bind another holder.
  void leave();

  /// The administrator's switch. ENODEV: the line needs no acknowledgement. Look at once afterwards.
  [[nodiscard]] pci::result<void> set_enabled(bool on);

  /// What is to be done after a look.
  struct follow_up {
    std::optional<platform::holder> rebind; ///< bind the function to this one, then `rebound`
    std::optional<duration> look_again;     ///< at this time of the host's clock
  };
  /// Asks the host's tables and the kernel's counters; lets INTx through again after a pause.
  [[nodiscard]] follow_up look();
  /// The function is bound to the holder that `look` asked for, or could not be.
  void rebound(const pci::result<void>& done);

  // -- anybody's

  /// The handler in dom0's kernel has claimed an interrupt. True: the actor is to look.
  [[nodiscard]] bool interrupt() override;
  /// An answer to a `follow_up::rebind` is still to come.
  [[nodiscard]] bool rebinding() const;
  /// The administrator's switch.
  [[nodiscard]] bool enabled() const;
  /// Fills in what concerns the line.
  void describe(messages::function_status& status) const;

private:
  [[nodiscard]] pci::line_facts facts(const pci::line_facts& before, unsigned guests, bool ask_xen) const;
  // With the lock held.
  [[nodiscard]] bool messages_on() const;
  void let_through();
  void unmask(std::unique_lock<std::mutex>& lock);
  void listen();
  void watch_counts();
  void follow_policy();
  void tell_plan();
  [[nodiscard]] follow_up next(duration now);

  environment_ptr all_;
  pci::sbdf address_;
  mutable std::mutex mutex_; ///< of what follows; taken before the serving's, not held while INTx is let through
  std::shared_ptr<serving> guest_;
  pci::intx_acknowledgement acknowledgement_;
  pci::storm_limiter limiter_;
  pci::spurious_watch watch_;
  std::uint64_t spurious_ = 0;  ///< of earlier holders
  bool masked_ = false;         ///< the last interrupt's mask is still there
  bool check_due_ = false;      ///< Xen is to be asked
  bool fresh_ = false;          ///< the host's tables were asked just before the guest's time began
  bool rebinding_ = false;      ///< `rebound` is still to come
  bool renew_ = false;          ///< the handler is to go and to come again
  bool holder_refused_ = false; ///< the kernel did not bind the wanted holder
  bool quiet_ = false;          ///< lockups are forbidden for this function
  guest_log log_;
  guest_log danger_log_; ///< of what dom0 is about to lose, which the lines of all else do not crowd out
};

} // namespace actors
