// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/arguments.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/nearest.hpp"

namespace client_program {

pci::result<pci::sbdf> address_argument(const std::string& text) {
  const auto address = pci::parse_sbdf(text);
  if (address) {
    return *address;
  }
  if (pci::is_beyond_xen(text)) {
    return pci::fail(EINVAL, fmt::format("Xen cannot name {}: it knows segments up to ffff, and those above are "
                                         "behind an Intel VMD; turn VMD off in the firmware",
                                         text));
  }
  return pci::fail(EINVAL,
                   fmt::format("\"{}\" is not the address of a function; give one such as 0000:03:00.0, as lspci -D "
                               "shows them: hexadecimal, the slot up to 1f, the function up to 7",
                               text));
}

pci::result<std::string> guest_argument(const std::string& text) {
  if (pci::parse_sbdf(text)) {
    return pci::fail(
        EINVAL,
        fmt::format("{} is an address, where a guest's name or number belongs: give the guest first, then the address",
                    text));
  }
  return text;
}

pci::result<std::variant<pci::sbdf, std::string>> target_argument(const std::string& text) {
  using target = std::variant<pci::sbdf, std::string>;
  if (text.find(':') != std::string::npos) {
    return address_argument(text).map([](const pci::sbdf& address) { return target{address}; });
  }
  return target{text};
}

std::optional<std::string> command_word(std::span<const std::string> words, std::span<const std::string> with_value) {
  for (std::size_t index = 0; index < words.size(); ++index) {
    const auto& word = words[index];
    if (word.empty() || word.front() != '-') {
      return word;
    }
    if (std::ranges::find(with_value, word) != with_value.end()) {
      ++index;
    }
  }
  return std::nullopt;
}

std::string unknown_command(const std::string& word, std::span<const std::string> commands) {
  const auto near = pci::nearest(word, commands);
  return fmt::format("there is no command \"{}\"; {}", word,
                     !near.empty() ? fmt::format("did you mean \"{}\"?", near)
                                   : std::string{"pcibackctl --help shows those that there are"});
}

std::string unknown_option(const std::string& word, const std::string& command, std::span<const std::string> options) {
  const auto near = pci::nearest(word.substr(0, word.find('=')), options);
  const auto whose = command.empty() ? std::string{"pcibackctl"} : "pcibackctl " + command;
  return fmt::format("{} has no option {}; {}", whose, word,
                     !near.empty() ? fmt::format("did you mean {}?", near)
                                   : fmt::format("{} --help shows those it has", whose));
}

} // namespace client_program
