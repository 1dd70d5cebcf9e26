// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/config_view.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "pci/config_space/decode.hpp"
#include "pci/config_space/registers.hpp"
#include "tools/pcibackctl/json_text.hpp"

namespace client_program {
namespace {

using space_bytes = std::vector<std::byte>;

/// One register, three times; `guest` and `hardware` are empty where the hardware could not be read.
struct compared_register {
  pci::decoded_register reference;
  std::string guest, hardware;
  [[nodiscard]] bool same() const { return guest.empty() || (guest == hardware && guest == reference.text); }
};
struct compared_block {
  std::uint16_t offset = 0;
  std::string name;
  std::vector<compared_register> registers;
};

struct compared_space {
  pci::function layout;
  space_bytes guest, hardware;
  std::vector<compared_block> blocks;
};

std::optional<space_bytes> bytes_in(const json& from, const char* name) {
  const auto text = text_in(from, name);
  const auto digit = [](char c) -> unsigned {
    return c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
           : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10
                                  : 16;
  };
  if (text.size() % 2 != 0 || text.size() > 2U * pci::reg::space_end ||
      std::ranges::any_of(text, [&](char c) { return digit(c) > 15; })) {
    return std::nullopt;
  }
  space_bytes bytes;
  for (std::size_t at = 0; at < text.size(); at += 2) {
    bytes.push_back(static_cast<std::byte>(digit(text[at]) << 4U | digit(text[at + 1])));
  }
  return bytes;
}

pci::function layout_of(const json& from, space_bytes reference) {
  pci::function layout;
  layout.config = std::move(reference);
  const auto& sizes = list_in(from, "sizes");
  for (std::size_t index = 0; index < layout.resources.size() && index < sizes.size(); ++index) {
    const auto size = sizes[index].is_number_unsigned() ? sizes[index].get<std::uint64_t>() : 0;
    layout.resources.at(index) = size == 0 ? pci::resource{} : pci::resource{0, size - 1, pci::resource::memory};
  }
  return layout;
}

/// Words of which nothing is known but that they are not the same everywhere.
compared_block other_words(const compared_space& all, const std::vector<pci::decoded_block>& told) {
  compared_block block{0, "Other registers", {}};
  const auto word_of = [](const space_bytes& from, std::uint16_t offset) {
    pci::function holder;
    holder.config = from;
    return fmt::format("{:08x}", holder.copy(offset, 4));
  };
  for (const auto offset :
       all.guest.empty() ? std::vector<std::uint16_t>{} : pci::untold_words(told, all.layout.config_size())) {
    const auto differs = [&](const space_bytes& other) {
      const auto length = std::min<std::size_t>(4, other.size() > offset ? other.size() - offset : 0);
      return length != 0 &&
             !std::equal(other.begin() + offset, other.begin() + offset + static_cast<std::ptrdiff_t>(length),
                         all.guest.begin() + offset);
    };
    if (std::size_t{offset} + 4 <= all.guest.size() && (differs(all.hardware) || differs(all.layout.config))) {
      block.registers.push_back({{offset, 4, fmt::format("{:03x}", offset), word_of(all.layout.config, offset)},
                                 word_of(all.guest, offset),
                                 word_of(all.hardware, offset)});
    }
  }
  return block;
}

void lay_side_by_side(compared_space& all) {
  const auto reference = pci::decode(all.layout, all.layout.config);
  const bool read = !all.guest.empty();
  const auto guest = read ? pci::decode(all.layout, all.guest) : reference;
  const auto hardware = read ? pci::decode(all.layout, all.hardware) : reference;
  for (std::size_t block = 0; block < reference.size(); ++block) {
    auto& made = all.blocks.emplace_back(compared_block{reference[block].offset, reference[block].name, {}});
    for (std::size_t each = 0; each < reference[block].registers.size(); ++each) {
      made.registers.push_back({reference[block].registers[each],
                                read ? guest[block].registers[each].text : std::string{},
                                read ? hardware[block].registers[each].text : std::string{}});
    }
  }
  if (auto others = other_words(all, reference); !others.registers.empty()) {
    all.blocks.push_back(std::move(others));
  }
}

pci::result<compared_space> compare(const json& parsed) {
  auto reference = bytes_in(parsed, "reference");
  auto guest = bytes_in(parsed, "guest"), hardware = bytes_in(parsed, "hardware");
  if (!reference || reference->size() < 64 || !guest || !hardware || guest->size() != hardware->size()) {
    return pci::fail(EPROTO,
                     "the daemon's account of the configuration space has a form that this program does not know; "
                     "restart the daemon, or use the pcibackctl of its version");
  }
  compared_space all{layout_of(parsed, std::move(*reference)), std::move(*guest), std::move(*hardware), {}};
  lay_side_by_side(all);
  return all;
}

/// What is different, each a line below its register.
std::string marked(const compared_register& each, const view& how) {
  if (each.same()) {
    return {};
  }
  std::string text;
  const auto line = [&](std::string_view whose, const std::string& what) {
    text += fmt::format("{}!   {:<16}  {}{}\n", how.colour ? "\x1b[33m" : "", whose, what, how.colour ? "\x1b[0m" : "");
  };
  if (each.guest != each.hardware && each.hardware == each.reference.text) {
    line("both", each.hardware);
    return text;
  }
  if (each.guest != each.hardware) {
    line("hardware", each.hardware);
  }
  if (each.guest != each.reference.text) {
    line("reference", each.reference.text);
  }
  return text;
}

std::string config_heading(const json& parsed, const compared_space& all, const card_namer& names) {
  const auto vendor = text_in(parsed, "vendor"), device = text_in(parsed, "device");
  const auto name = names ? names(vendor, device) : std::string{};
  const auto domain = text_in(parsed, "domain");
  auto text =
      fmt::format("{}{}  [{}:{}]\n", text_in(parsed, "address"), name.empty() ? "" : "  " + name, vendor, device);
  if (all.guest.empty()) {
    return text + fmt::format("the hardware cannot be read: {}; this is how it was when it was held\n",
                              text_in(parsed, "trouble"));
  }
  return text +
         (domain.empty() ? std::string{"as the next guest would read it"}
                         : fmt::format("as domain {} reads it", domain)) +
         "; a line with ! is what the hardware, or the reference copy, has instead; both: they agree\n";
}

} // namespace

pci::result<std::string> configuration_of(const std::string& result, const view& how, const card_namer& names) {
  const auto parsed = json::parse(result, nullptr, false);
  return compare(parsed).map([&](const compared_space& all) {
    auto text = config_heading(parsed, all, names);
    for (const auto& block : all.blocks) {
      text += block.name == "Header" || block.name == "Other registers"
                  ? fmt::format("\n{}\n", block.name)
                  : fmt::format("\n[{:x}] {}\n", block.offset, block.name);
      for (const auto& each : block.registers) {
        text +=
            fmt::format("    {:<16}  {}\n", each.reference.name, each.guest.empty() ? each.reference.text : each.guest);
        text += marked(each, how);
      }
    }
    return text;
  });
}

pci::result<std::string> configuration_json(const std::string& result) {
  auto parsed = json::parse(result, nullptr, false);
  return compare(parsed).map([&](const compared_space& all) {
    const auto text_or_null = [](const std::string& text) { return text.empty() ? json() : json(text); };
    auto blocks = json::array();
    for (const auto& block : all.blocks) {
      auto registers = json::array();
      for (const auto& each : block.registers) {
        registers.push_back({{"offset", each.reference.offset},
                             {"size", each.reference.size},
                             {"name", each.reference.name},
                             {"guest", text_or_null(each.guest)},
                             {"hardware", text_or_null(each.hardware)},
                             {"reference", each.reference.text},
                             {"same", each.same()}});
      }
      blocks.push_back({{"offset", block.offset}, {"name", block.name}, {"registers", std::move(registers)}});
    }
    parsed["blocks"] = std::move(blocks);
    return parsed.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  });
}

} // namespace client_program
