// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pci/config_space/field.hpp"
#include "pci/function.hpp"
#include "pci/policy.hpp"

namespace pci {

/// Builds the fields of a function of header type 0 or 1: the header's, the four capabilities' (VPD, PM, MSI, MSI-X,
/// the first of each), then the constants of the other capabilities. No two overlap: what a broken list of capabilities
/// puts over an earlier field is left out. A capability that cannot be used, and MSI and MSI-X that the policy forbids,
/// have no fields and are not in the list that the guest sees.
[[nodiscard]] std::vector<field> build_fields(const function& function, const policy& policy);

/// Appends the policy's quirks and returns those that are refused: malformed, beyond the space's `size`, or over a
/// register that has a rule of its own (COMMAND, a BAR, an earlier quirk, ...), which then stands.
std::vector<quirk> append_quirks(std::vector<field>& fields, const policy& policy, std::size_t size);

/// Those that `append_quirks` would refuse for the function.
[[nodiscard]] std::vector<quirk> refused_quirks(const function& function, const policy& policy);

/// True for a quirk that `append_quirks` would take over these fields.
[[nodiscard]] bool acceptable(const quirk& what, std::span<const field> fields, std::size_t size);

} // namespace pci
