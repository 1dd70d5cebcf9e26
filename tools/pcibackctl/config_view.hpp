// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"
#include "tools/pcibackctl/names.hpp"
#include "tools/pcibackctl/view.hpp"

namespace client_program {

// The result of `config`: a function's configuration space as its guest reads it, beside the hardware and the reference
// copy, register by register. EPROTO: it is no such result.

/// For people, in the manner of `lspci -vv`. What the hardware or the reference copy has otherwise follows its
/// register, in lines that begin with "!".
[[nodiscard]] pci::result<std::string> configuration_of(const std::string& result, const view& how = {},
                                                        const card_namer& names = {});

/// For programs: the same blocks and registers, and the bytes; with the end of the line.
[[nodiscard]] pci::result<std::string> configuration_json(const std::string& result);

} // namespace client_program
