// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

namespace pci {

/// `cmd` of struct xen_pci_op. Source: xen/io/pciif.h; spec 1.5.
enum class op_code : std::uint32_t {
  conf_read = 0,
  conf_write = 1,
  enable_msi = 2,
  disable_msi = 3,
  enable_msix = 4,
  disable_msix = 5,
  aer_detected = 6,
  aer_resume = 7,
  aer_mmio = 8,
  aer_slotreset = 9,
  enable_multi_msi = 10,
};

/// `err` of struct xen_pci_op. Source: xen/io/pciif.h; spec 1.6. No other number ever leaves this backend.
enum class op_error : std::int32_t {
  success = 0,
  dev_not_found = -1,
  invalid_offset = -2,
  access_denied = -3,
  not_implemented = -4,
  op_failed = -5,
};

/// One operation as the device actor gets it: a private copy of the fields that matter, already cut to size.
struct request {
  std::uint32_t code = 0; ///< as the guest wrote it: any number
  std::int32_t offset = 0;
  std::int32_t size = 0;
  std::uint32_t value = 0; ///< conf_write: the value; enable_msix: how many vectors the guest asked for, unchecked
  std::vector<std::uint16_t> entries; ///< enable_msix: table indices, at most 128; empty for all else
};

/// What goes back into the page.
struct answer {
  op_error error = op_error::success;
  std::uint32_t value = 0;
  std::vector<std::uint16_t> vectors; ///< a successful enable_msix: a pirq for each entry asked for, in order

  friend bool operator==(const answer&, const answer&) = default;
};

} // namespace pci
