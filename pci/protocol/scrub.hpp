// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pci {

/// The steps that make a function clean between two guests, in this order; each has its reason beside it.
/// Between `end_messages` and the rest the guest's page is unmapped, when the guest is dying: until then Xen keeps the
/// dead domain, and would touch the function's interrupts when it frees it.
/// A function is assignable again only after `verify` has read both MSI enable bits as 0 from the hardware.
enum class scrub_step : std::uint8_t {
  quiesce, ///< bus mastering off first (no more DMA, no more messages), memory decode on for the unmaps that follow
  end_messages, ///< MSI and MSI-X enable bits off, every pirq of the guest unmapped
  revoke,       ///< I/O memory, ports, the line's pirq and permission: exactly what this daemon granted
  withdraw,     ///< deassigned from the guest
  await_pirqs,  ///< what a device model has mapped for its guest is gone: it unmaps it, or the guest ends. The one step
                ///< that may have to be done again, later
  reset,        ///< the best reset that it has and that hits nobody else; that it has none is no failure
  restore,    ///< the reference configuration written back: reset keeps what the guest left, and a secondary bus reset
              ///< loses all
  renew_msix, ///< release_msix, prepare_msix, MASKALL off: Xen's idea of the table made fresh (cures a poisoned mask)
  quarantine, ///< assigned to DOM_IO, which Xen refuses while MSI-X is masked as a whole
  verify,     ///< both enable bits, MASKALL and bus mastering read back 0
  done,
  failed, ///< not assignable; `retry` scrubs it again, `release` gives it back to dom0
};
[[nodiscard]] std::string_view to_string(scrub_step step);

/// How long to wait before the next try of a scrub that has failed for the `tries`th time (1: the first). Empty: what
/// is wrong does not pass.
[[nodiscard]] std::optional<std::chrono::milliseconds> wait_before_retry(unsigned tries);

/// Where a scrub is. Pure: the device actor does each step and says how it went.
class scrub {
public:
  [[nodiscard]] scrub_step current() const { return step_; }
  /// A step that failed does not stop the scrub: each later one makes the function safer. But it ends in `failed`.
  void advance(bool succeeded);
  /// A failed scrub once more, from the first step that failed; but what comes after a restoration is only as good as
  /// that, so from there at the latest.
  [[nodiscard]] scrub again() const;
  /// The first step that failed; empty: none has.
  [[nodiscard]] std::optional<scrub_step> first_failure() const { return failed_; }
  [[nodiscard]] bool finished() const { return step_ == scrub_step::done || step_ == scrub_step::failed; }

private:
  scrub_step step_ = scrub_step::quiesce;
  std::optional<scrub_step> failed_; ///< the first
};

} // namespace pci
