// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "pci/address.hpp"
#include "pci/dmar.hpp"
#include "pci/function.hpp"
#include "pci/protocol/reset.hpp"
#include "pci/selector.hpp"

/// What is known to be wrong with cards of some kinds, and what the host's firmware does with a function, as far as it
/// matters to who hands it to a guest. Each note is one line, and says what can be done.
namespace pci {

/// `resets`: what the host's kernel would use. Source: the quirks of Linux, drivers/pci/quirks.c, as facts.
[[nodiscard]] std::vector<std::string> known_errata(const identity& what, const std::vector<reset_option>& resets);

/// The reserved memory of a function, and with whom it shares it: "7a000000-7a7fffff, with 0000:00:14.0". Empty: none.
[[nodiscard]] std::string reserved_memory_of(const sbdf& address, const std::vector<reserved_region>& all);

} // namespace pci
