// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/port.hpp"
#include "pci/function.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/operations.hpp"

namespace pci {

/// Which interrupts of a function are on.
enum class interrupt_mode : std::uint8_t { intx, msi, msix };

/// A vector that a guest has: the MSI-X table entry (0 for MSI) and the pirq in the guest's own space.
struct bound_vector {
  std::uint16_t entry = 0;
  std::uint16_t pirq = 0;
  friend bool operator==(const bound_vector&, const bound_vector&) = default;
};

/// Xen's half of message interrupts for one function and its current guest (userspace-level PHYSDEVOP_map_pirq).
class pirq_port {
public:
  pirq_port() = default;
  pirq_port(const pirq_port&) = delete;
  pirq_port& operator=(const pirq_port&) = delete;
  virtual ~pirq_port() = default;

  [[nodiscard]] virtual result<std::uint16_t> map_msi() = 0;
  /// `table_base`: host physical address of the BAR that holds the table.
  [[nodiscard]] virtual result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t table_base) = 0;
  [[nodiscard]] virtual result<void> unmap(std::uint16_t pirq) = 0;
};

/// The bookkeeping that Xen does not do for a function's MSI and MSI-X: the mode, entry → pirq, and pairs of map and
/// unmap. A value; every step on hardware goes through the ports that are handed in. The order of the steps is in the
/// .cpp, each with its reason.
///
/// Invariants: at most one of MSI and MSI-X is on; every mapped pirq is in `vectors()`, those too that Xen would not
/// unmap and that the next end() tries again (mode() is intx then); memory decode is on around
/// every map and unmap of MSI-X (Xen leaves the function masked for good otherwise); control registers are written as
/// 16 bits.
class message_interrupts {
public:
  explicit message_interrupts(const function& function);

  [[nodiscard]] interrupt_mode mode() const { return mode_; }
  [[nodiscard]] std::span<const bound_vector> vectors() const { return vectors_; }

  /// Carries out one of the four operations (spec 3.4 to 3.7), and better than the kernel in this: an enable while one
  /// is on ends the old one first, and a disable of either kind ends whichever is on.
  /// Refuses by `policy` with op_failed; MSI-X with 0 or more than 128 vectors, with entries twice or beyond the table,
  /// or with the guest's memory decode off (`guest_decodes_memory`) likewise. On failure nothing is left mapped and
  /// INTx is as before.
  [[nodiscard]] answer operate(const request& what, const policy& policy, bool guest_decodes_memory, config_port& port,
                               pirq_port& pirqs);

  /// Ends whatever is on: enable bit off, every pirq unmapped, INTX_DISABLE cleared when `restore_intx`. Goes on after
  /// failures and returns the first; ESRCH and EINVAL from unmap are success (the guest is gone, Xen has freed the
  /// pirq).
  result<void> end(config_port& port, pirq_port& pirqs, bool restore_intx);

  /// Why the last operation failed, or what a disable could not undo: for the log, in words and with Xen's errno. Empty
  /// after success and after an operation that is not implemented.
  [[nodiscard]] const std::optional<failure>& last_failure() const { return last_failure_; }

  /// Takes over what an earlier instance of the daemon had mapped.
  void adopt(interrupt_mode mode, std::vector<bound_vector> vectors);

private:
  answer answer_to(result<void> enabled, std::uint32_t value_of_failure);
  result<void> enable_msi(const policy& policy, config_port& port, pirq_port& pirqs);
  result<void> enable_msix(const request& what, const policy& policy, bool guest_decodes_memory, config_port& port,
                           pirq_port& pirqs);
  answer disable(config_port& port, pirq_port& pirqs);
  result<void> switch_to(interrupt_mode mode, std::span<const std::uint16_t> entries, config_port& port,
                         pirq_port& pirqs);
  result<void> map_msi(pirq_port& pirqs);
  result<void> map_msix(std::span<const std::uint16_t> entries, config_port& port, pirq_port& pirqs);
  result<void> bind(std::uint16_t entry, result<std::uint16_t> pirq);
  result<void> raise(interrupt_mode mode, config_port& port);
  result<void> unmap_all(config_port& port, pirq_port& pirqs);

  interrupt_mode mode_ = interrupt_mode::intx;
  std::vector<bound_vector> vectors_;
  std::optional<msi_capability> msi_;
  std::optional<msix_capability> msix_;
  std::optional<failure> last_failure_;
  std::uint16_t irq_ = 0; ///< what a disable answers: the pirq of the INTx line, or 0
};

} // namespace pci
