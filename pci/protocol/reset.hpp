// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"

namespace pci {

/// How a function can be reset: best first, which is the order in which Linux tries them (drivers/pci/pci.c,
/// pci_reset_fn_methods).
enum class reset_method : std::uint8_t {
  device_specific, ///< a quirk of the kernel's for this very device
  acpi,            ///< the firmware's _RST
  flr,             ///< Function Level Reset, PCI Express Base 5.0 section 6.6.2
  af_flr,          ///< the same by the Advanced Features capability
  pm,              ///< D3hot and back to D0
  bus,             ///< secondary bus reset by the bridge above
  cxl_bus,         ///< the same for a CXL device, whose port masks it otherwise
  unnamed,         ///< the best that a kernel has which does not tell its methods
};
/// The kernel's words, as in sysfs `reset_method`; "default" for `unnamed`.
[[nodiscard]] std::string_view to_string(reset_method method);
/// Empty: no method of that name.
[[nodiscard]] std::optional<reset_method> parse_reset_method(std::string_view word);

/// One method that a function has.
struct reset_option {
  reset_method method = reset_method::unnamed;
  std::vector<sbdf> hits; ///< the other functions that are reset with it
  friend bool operator==(const reset_option&, const reset_option&) = default;
};

/// What the daemon knows of a function that a reset would hit beside the one it is meant for.
enum class occupancy : std::uint8_t {
  foreign, ///< not held: dom0's, or another program's
  busy,    ///< held, and a guest has it, or it is being taken, scrubbed or given back
  quiet,   ///< held, between two guests, and waits for the others that share its only reset
  idle,    ///< held, clean, nobody's
};

enum class reset_verdict : std::uint8_t { permitted, hits_foreign, hits_busy };
[[nodiscard]] std::string_view to_string(reset_verdict verdict);

/// Whether a method may be used, by the worst of those that it hits: all must be idle or quiet.
[[nodiscard]] reset_verdict judge(std::span<const occupancy> hit);

} // namespace pci
