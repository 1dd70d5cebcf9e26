// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/lspci.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/hypervisor.hpp"

namespace platform::sim {
namespace {

constexpr std::uintmax_t largest_dump = std::uintmax_t{16} << 20U;

/// The header of a function is the only line that begins with an address.
bool begins_function(std::string_view line) {
  const auto word = line.substr(0, line.find(' '));
  return word.find('.') != std::string_view::npos && pci::parse_sbdf(word).has_value();
}

/// The text of each function, without what -v says of it.
std::vector<std::string> split_functions(std::string_view text) {
  std::vector<std::string> all;
  std::string comments; // above the first function
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == ' ' || line.front() == '\t')
      continue;
    if (begins_function(line))
      all.emplace_back(std::exchange(comments, {}));
    auto& to = all.empty() ? comments : all.back();
    to.append(line).push_back('\n');
  }
  if (all.empty())
    all.push_back(std::move(comments)); // parse_dump says what is wrong with it
  return all;
}

/// Ports have 16 bits here. A machine of another architecture has them elsewhere.
void move_ports(device_model& model) {
  constexpr std::uint64_t all_ports = 0xffff;
  for (std::size_t i = 0; i < pci::function::rom; ++i) {
    auto& ports = model.resources.at(i);
    if (!ports.is_io() || ports.end <= all_ports)
      continue;
    const auto size = ports.size();
    ports.start &= all_ports;
    ports.end = ports.start + size - 1;
    model.config.at(pci::reg::bar0 + 4 * i + 2) = model.config.at(pci::reg::bar0 + 4 * i + 3) = std::byte{0};
  }
}

std::uint32_t dword(const device_model& model, std::size_t offset) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i)
    value |= std::to_integer<std::uint32_t>(model.config.at(offset + i)) << (8 * i);
  return value;
}

/// The place of the MSI-X capability; 0: none.
std::size_t find_msix(const device_model& model) {
  constexpr unsigned most_capabilities = 48;
  std::size_t at = dword(model, pci::reg::capabilities) & 0xfcU;
  for (unsigned steps = 0; at >= pci::reg::first_capability && at <= 0xf4 && steps < most_capabilities; ++steps) {
    const auto header = dword(model, at);
    if ((header & 0xff) == pci::reg::cap_msix)
      return at;
    at = header >> 8 & 0xfcU;
  }
  return 0;
}

/// How large a BAR is, only the machine knows. It has room at least for the MSI-X table and the pending bits in it.
void make_room_for_msix(device_model& model) {
  constexpr std::uint64_t most = 0x80000; // of the simulated machine's place for a function
  const auto at = find_msix(model);
  if (at == 0)
    return;
  const std::uint64_t entries = (dword(model, at) >> 16 & pci::reg::msix_table_size) + 1U;
  for (const auto& [offset, size] : {std::pair{dword(model, at + pci::reg::msix_table), entries * 16},
                                     {dword(model, at + pci::reg::msix_pba), (entries + 63) / 64 * 8}}) {
    const auto bar = offset & pci::reg::msix_bir;
    const auto needed = std::bit_ceil((offset & ~std::uint64_t{pci::reg::msix_bir}) + size);
    if (bar < pci::function::rom && needed <= most && !model.resources.at(bar).is_io() &&
        model.resources.at(bar).size() != 0 && model.resources.at(bar).size() < needed)
      model.resources.at(bar).end = model.resources.at(bar).start + needed - 1;
  }
}

pci::result<dumped_function> parse_function(const std::string& text) {
  auto model = parse_dump(text);
  if (!model)
    return tl::unexpected(model.error());
  dumped_function found{std::move(*model), text.find("\nirq:") != std::string::npos,
                        text.find("\n# flr kills") != std::string::npos};
  constexpr unsigned first_line = 16, lines = hypervisor::gsis - first_line, not_connected = 255;
  if (!found.says_line && found.model.irq != 0 && found.model.irq != not_connected)
    found.model.irq = first_line + found.model.irq % lines;
  if (text.find("\nresource:") == std::string::npos)
    make_room_for_msix(found.model);
  move_ports(found.model);
  return found;
}

} // namespace

pci::result<std::vector<dumped_function>> parse_lspci(std::string_view text) {
  std::vector<dumped_function> all;
  for (const auto& each : split_functions(text)) {
    auto found = parse_function(each);
    if (!found)
      return pci::fail(found.error().error,
                       begins_function(each)
                           ? fmt::format("{}: {}", each.substr(0, each.find_first_of(" \n")), found.error().context)
                           : found.error().context);
    all.push_back(std::move(*found));
  }
  return all;
}

pci::result<std::vector<dumped_function>> load_lspci(const std::filesystem::path& file) {
  std::error_code why;
  if (!std::filesystem::is_regular_file(file, why))
    return pci::fail(why ? why.value() : EINVAL,
                     fmt::format("{} {}", file.string(), why ? "cannot be read" : "is not a file"));
  if (std::filesystem::file_size(file, why) > largest_dump)
    return pci::fail(EFBIG, file.string() + " is larger than 16 MiB; is it the output of `lspci -xxxx`?");
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || (std::filesystem::file_size(file, why) != 0 && !(text << in.rdbuf())))
    return pci::fail(EIO, file.string() + " cannot be read");
  return parse_lspci(text.str()).map_error([&](const pci::failure& what) {
    return pci::failure{what.error, fmt::format("{}: {}", file.string(), what.context)};
  });
}

} // namespace platform::sim
