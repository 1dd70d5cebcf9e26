// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/sysfs/backend.hpp"

namespace sysfs_program {

/// The directory of a PCI driver named pciback, as libxl and scripts know it, over the daemon. Has no file system in
/// it. Thread-safe.
class pciback {
public:
  /// A file of the directory.
  struct file {
    std::string_view name;
    bool readable;
    bool writable;
  };
  static constexpr std::array<file, 10> files{{
      {"allow_interrupt_control", true, true},
      {"bind", false, true},
      {"irq_handler_state", false, true},
      {"irq_handlers", true, false},
      {"new_slot", false, true},
      {"permissive", true, true},
      {"quirks", true, true},
      {"remove_slot", false, true},
      {"slots", true, false},
      {"unbind", false, true},
  }};
  /// Null: there is none of that name.
  [[nodiscard]] static const file* find(std::string_view name);

  /// `patience`: how long a toolstack that looks for assignable functions waits for those that are about to be.
  explicit pciback(backend& daemon, std::chrono::milliseconds patience = std::chrono::seconds(3))
      : daemon_(daemon), patience_(patience) {}

  /// The functions that have a link in the directory: those that a guest may have, or has. Waits a while for those that
  /// a guest has just lost: what libxl permits the next guest must not meet what the daemon takes from the last.
  [[nodiscard]] pci::result<std::vector<pci::sbdf>> links();
  [[nodiscard]] pci::result<std::string> read(std::string_view name);
  /// Carries out what is written to a file, in the kernel's grammar and with its errnos. May take as long as a reset.
  [[nodiscard]] pci::result<void> write(std::string_view name, std::string_view text);
  /// Gives a function back without a driver. ENODEV: it is not held. EBUSY: a guest has it, which the kernel's driver
  /// would let happen.
  [[nodiscard]] pci::result<void> unbind(const pci::sbdf& address);
  /// Whether the daemon has the function, clean or not.
  [[nodiscard]] pci::result<bool> holds(const pci::sbdf& address);

private:
  [[nodiscard]] pci::result<std::vector<pci::sbdf>> slots();
  [[nodiscard]] pci::result<std::string> quirks();
  [[nodiscard]] pci::result<void> new_slot(std::string_view text);
  [[nodiscard]] pci::result<void> remove_slot(std::string_view text);
  [[nodiscard]] pci::result<void> bind(std::string_view text);
  [[nodiscard]] pci::result<void> toggle_handler(std::string_view text);

  [[nodiscard]] pci::result<std::vector<function>> settled();

  backend& daemon_;
  std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::set<pci::sbdf> slots_; ///< wanted, whether held or not
};

} // namespace sysfs_program
