#pragma once

#include <cstdint>
#include <string_view>

namespace pci {

/// The steps that make a function clean between two guests, in this order; each has its reason beside it.
/// A function is assignable again only after `verify` has read both MSI enable bits as 0 from the hardware.
enum class scrub_step : std::uint8_t {
  quiesce, ///< bus mastering off first (no more DMA, no more messages), memory decode on for the unmaps that follow
  end_messages, ///< MSI and MSI-X enable bits off, every pirq of the guest unmapped
  revoke,       ///< I/O memory, ports, the line's pirq and permission: exactly what this daemon granted
  withdraw,     ///< deassigned from the guest, assigned to DOM_IO: quarantine
  reset,        ///< the best reset that the kernel has for it
  restore,    ///< the reference configuration written back: reset keeps what the guest left, and a secondary bus reset
              ///< loses all
  renew_msix, ///< release_msix, prepare_msix: Xen's idea of the table made fresh (cures a poisoned mask)
  verify,     ///< both enable bits read back 0
  done,
  failed, ///< stays quarantined, not assignable; `release` and `hold` by the administrator start over
};
[[nodiscard]] std::string_view to_string(scrub_step step);

/// Where a scrub is. Pure: the device actor does each step and says how it went.
class scrub {
public:
  [[nodiscard]] scrub_step current() const { return step_; }
  /// A step that failed does not stop the scrub, but without `end_messages`, `withdraw` and `verify` it ends in
  /// `failed`.
  void advance(bool succeeded);
  [[nodiscard]] bool finished() const { return step_ == scrub_step::done || step_ == scrub_step::failed; }

private:
  scrub_step step_ = scrub_step::quiesce;
  bool messages_ended_ = false;
  bool withdrawn_ = false;
};

} // namespace pci
