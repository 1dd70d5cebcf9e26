// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "pci/address.hpp"
#include "pci/result.hpp"

/// What an administrator types, taken at its most likely meaning. Failures (EINVAL) are one line: what is wrong, and
/// what to type instead.
namespace client_program {

/// An address where one is due.
[[nodiscard]] pci::result<pci::sbdf> address_argument(const std::string& text);

/// A guest's name or number where one is due: an address is none.
[[nodiscard]] pci::result<std::string> guest_argument(const std::string& text);

/// Either. What has a ":" is meant as an address, and never taken for a guest's name; a guest whose name has one is
/// given by its number.
[[nodiscard]] pci::result<std::variant<pci::sbdf, std::string>> target_argument(const std::string& text);

/// The first word that is neither an option nor an option's value: the command. `with_value`: the options before the
/// command that take the next word, as "--socket". Empty: there is none.
[[nodiscard]] std::optional<std::string> command_word(std::span<const std::string> words,
                                                      std::span<const std::string> with_value);

/// What to say about a command that there is not: the nearest one, if any is near.
[[nodiscard]] std::string unknown_command(const std::string& word, std::span<const std::string> commands);
/// Likewise about an option of `command`, which is empty for an option before the command.
[[nodiscard]] std::string unknown_option(const std::string& word, const std::string& command,
                                         std::span<const std::string> options);

} // namespace client_program
