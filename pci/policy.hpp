// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
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

/// What is done about a function whose interrupt line dom0's drivers use too (spec 5; see interrupts/intx_line.hpp).
enum class line_policy : std::uint8_t {
  acknowledge, ///< dom0 gets a handler that claims the guest's interrupts
  noirqdebug,  ///< dom0's kernel is told not to give up lines with unclaimed interrupts
  refuse,      ///< no guest gets the function
};

/// "4c:4:ffffffff", which parse_quirk reads again and the settings take.
[[nodiscard]] std::string to_string(const quirk& what);

/// A quirk and whose it is: what is written to pciback's `quirks` file.
struct addressed_quirk {
  sbdf address;
  quirk what;
  friend bool operator==(const addressed_quirk&, const addressed_quirk&) = default;
};

/// Reads "[DDDD:]BB:SS.F-REG:SIZE:MASK", hexadecimal, surrounding white space allowed (spec 4.11). EINVAL otherwise.
[[nodiscard]] result<addressed_quirk> parse_addressed_quirk(std::string_view text);

/// What happens to a guest whose function had an error that could not be recovered from.
enum class error_policy : std::uint8_t {
  kill,   ///< it is stopped, as after a crash
  detach, ///< the function is taken from it
  log,    ///< nothing: it is told in the log
};

/// What is done about a function with reserved memory (RMRR) that other functions use too: its guest shares that memory
/// with theirs.
enum class rdm_policy : std::uint8_t {
  strict,  ///< no guest gets it
  relaxed, ///< as XEN_DOMCTL_DEV_RDM_RELAXED
};
/// "strict" or "relaxed".
[[nodiscard]] std::string_view to_string(rdm_policy policy);

/// When a function may go to somebody else whose last guest runs on: what that guest has mapped of it, it keeps.
enum class reuse_policy : std::uint8_t {
  at_once,     ///< as soon as it is clean
  after_guest, ///< to nobody else, dom0 included, until that guest has ended
};

/// What becomes of a function that is held and clean while nobody has it.
enum class power_policy : std::uint8_t {
  d0,        ///< it stays as it is
  automatic, ///< it sleeps in D3hot, if it can, until somebody gets it or it goes back to dom0
};

/// What the administrator allows a guest to do with one function. Belongs to the function, holds for each guest anew.
struct policy {
  bool permissive = false;              ///< writes outside the fields reach the hardware (spec 4.9)
  bool allow_interrupt_control = false; ///< for stub domains: INTX_DISABLE and the enable bits (spec 4.5, 4.8)
  bool msi = true;                      ///< false: enable_msi is refused
  bool msix = true;                     ///< false: enable_msix is refused
  std::vector<quirk> quirks{};          ///< registers opened beyond the fields
  line_policy line = line_policy::acknowledge;
  error_policy aer = error_policy::kill;
  rdm_policy rdm = rdm_policy::strict;
  reuse_policy reuse = reuse_policy::at_once;
  bool share_pages = false; ///< it may go to a guest although somebody else's function has registers in its pages
  power_policy power = power_policy::d0;
  friend bool operator==(const policy&, const policy&) = default;
};

/// Which writes beyond the virtual fields reach the hardware.
enum class write_mode : std::uint8_t {
  strict, ///< none
  listed, ///< those to the registers of the quirks, within their masks
  all,    ///< all: permissive
};
[[nodiscard]] std::string_view to_string(write_mode mode);
[[nodiscard]] write_mode mode_of(const policy& policy);

/// What is switched at run time, and until when it holds is the device's affair. Empty: as it is.
struct policy_change {
  std::optional<bool> permissive{};
  std::optional<bool> interrupt_control{};
  std::optional<quirk> open{};          ///< one more; of the same register: instead of it
  std::optional<std::uint16_t> close{}; ///< the quirk at this offset. `apply` fails with ENOENT if there is none
};
[[nodiscard]] result<policy> apply(policy to, const policy_change& change);

} // namespace pci
