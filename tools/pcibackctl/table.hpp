// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"
#include "tools/pcibackctl/names.hpp"
#include "tools/pcibackctl/view.hpp"

namespace client_program {

/// The result of list as a table for people: a line a function, the columns of `xl pci-list` (Vdev, Device) first. What
/// the settings want in vain has its line too, and the reason in Detail. Fields that are absent are "-". EPROTO: it is
/// no such result.
[[nodiscard]] pci::result<std::string> table_of(const std::string& result, const view& how = {},
                                                const card_namer& names = {});

/// The same result as a table of the functions' interrupt lines: what is decided of each and why, who holds the
/// function, interrupts acknowledged, interrupts of the line that nobody in dom0 claimed, storms, and how near dom0's
/// kernel is to giving the line up.
[[nodiscard]] pci::result<std::string> lines_of(const std::string& result, const view& how = {});

/// The result of `registers` as a text: the mode, the registers that the guest wrote in vain, and the settings that
/// would let it.
[[nodiscard]] pci::result<std::string> writes_of(const std::string& result, const view& how = {});

/// The result of `explain` as a text: the way of each function from the settings to its guest's driver, and the
/// verdict with the command that mends it.
[[nodiscard]] pci::result<std::string> explanation_of(const std::string& result, const view& how = {},
                                                      const card_namer& names = {});

} // namespace client_program
