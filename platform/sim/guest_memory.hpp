// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "platform/sim/host.hpp"

namespace platform::sim {

/// Whether Xen lets no guest map the frame writable: some function is prepared for MSI-X, and its table or its pending
/// bits lie there.
[[nodiscard]] bool is_read_only(host& host, std::uint64_t frame);

/// A guest's driver maps the page of a host address and writes to a register there. EPERM: it may not map it. EFAULT:
/// Xen let it be mapped for reading only, so the driver faults.
[[nodiscard]] pci::result<void> guest_write(host& host, domain_id domain, std::uint64_t address);

} // namespace platform::sim
