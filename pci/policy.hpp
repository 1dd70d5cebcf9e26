#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "pci/result.hpp"

namespace pci {

/// A register that a guest may write although no field of the virtual space covers it (spec 4.11, pciback's `quirks`).
struct quirk {
  std::uint16_t offset = 0;
  std::uint8_t width = 4; ///< 1, 2 or 4
  std::uint32_t mask = 0; ///< the bits that a guest may change; the kernel's backend ignores it, this one applies it
  friend bool operator==(const quirk&, const quirk&) = default;
};

/// Reads "REG:SIZE:MASK", hexadecimal. Refuses (EINVAL) a register beyond fff, a size other than 1, 2, 4, an unaligned
/// register, and a mask wider than the size.
[[nodiscard]] result<quirk> parse_quirk(std::string_view text);

/// What happens to a guest whose function had an error that could not be recovered from.
enum class error_policy : std::uint8_t {
  kill,   ///< it is stopped, as after a crash
  detach, ///< the function is taken from it
  log,    ///< nothing: it is told in the log
};

/// What the administrator allows a guest to do with one function. Belongs to the function, holds for each guest anew.
struct policy {
  bool permissive = false;              ///< writes outside the fields reach the hardware (spec 4.9)
  bool allow_interrupt_control = false; ///< for stub domains: INTX_DISABLE and the enable bits (spec 4.5, 4.8)
  bool msi = true;                      ///< false: enable_msi is refused
  bool msix = true;                     ///< false: enable_msix is refused
  std::vector<quirk> quirks{};          ///< registers opened beyond the fields
  error_policy aer = error_policy::kill;
  friend bool operator==(const policy&, const policy&) = default;
};

} // namespace pci
