// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/device.hpp"
#include "platform/sim/dump_table.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

template <class Number>
bool number(std::string_view text, Number& value, int base) {
  if (base == 16 && text.starts_with("0x"))
    text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    if (end != 0)
      words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

/// "0000:03:00.0", "03:00.0" or the first word of a line that begins so.
bool address(std::string_view text, pci::sbdf& found) {
  const auto colons = std::count(text.begin(), text.end(), ':');
  if (colons == 2) {
    if (!number(text.substr(0, text.find(':')), found.segment, 16))
      return false;
    text.remove_prefix(text.find(':') + 1);
  }
  const auto colon = text.find(':'), dot = text.find('.');
  std::uint8_t slot = 0, function = 0;
  if (colon == std::string_view::npos || dot == std::string_view::npos || dot < colon ||
      !number(text.substr(0, colon), found.bus, 16) || !number(text.substr(colon + 1, dot - colon - 1), slot, 16) ||
      !number(text.substr(dot + 1), function, 16) || slot > 31 || function > 7)
    return false;
  found.devfn = static_cast<std::uint8_t>(slot << 3 | function);
  return true;
}

/// What the text has said so far.
struct reader {
  device_model model;
  std::size_t resources = 0;
  bool has_ids = false, has_irq = false, has_reset = false;

  bool row(std::string_view offset_text, std::string_view bytes) {
    std::size_t offset = 0;
    if (!number(offset_text, offset, 16) || offset % 16 != 0 || offset > reg::space_end - 16U)
      return false;
    model.config.resize(std::max<std::size_t>(model.config.size(), offset >= reg::extended ? 4096 : 256));
    const auto words = split(bytes, ' ');
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::uint8_t value = 0;
      if (i >= 16 || !number(words[i], value, 16))
        return false;
      model.config[offset + i] = static_cast<std::byte>(value);
    }
    return words.size() == 16;
  }

  bool note(std::string_view key, std::string_view text) {
    const auto words = split(text, ' ');
    if (key == "ids") {
      has_ids = true;
      return text.size() == 9 && number(text.substr(0, 4), model.vendor, 16) &&
             number(text.substr(5), model.device, 16);
    }
    if (key == "irq") {
      has_irq = true;
      model.level = words.size() > 1 && words[1] == "level";
      return !words.empty() && number(words[0], model.irq, 10);
    }
    if (key == "reset") {
      has_reset = true;
      model.has_reset = !words.empty();
      model.has_flr = std::find(words.begin(), words.end(), "flr") != words.end();
      return true;
    }
    if (key == "physfn")
      return address(text, model.physical_function.emplace());
    if (key == "resource")
      return resource(words);
    return false;
  }

  bool resource(const std::vector<std::string_view>& words) {
    if (resources == model.resources.size() || words.size() != 3)
      return false;
    auto& next = model.resources[resources++];
    return number(words[0], next.start, 16) && number(words[1], next.end, 16) && number(words[2], next.flags, 16);
  }

  bool line(std::string_view text) {
    const auto colon = text.find(": ");
    if (text.ends_with(':')) // "reset:" with nothing after it
      return note(text.substr(0, text.size() - 1), {});
    if (colon == std::string_view::npos)
      return false;
    const auto key = text.substr(0, colon), rest = text.substr(colon + 2);
    return key.find_first_not_of("0123456789abcdef") == std::string_view::npos ? row(key, rest) : note(key, rest);
  }
};

std::uint32_t dword(const device_model& model, std::size_t offset) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i)
    value |= std::to_integer<std::uint32_t>(model.config[offset + i]) << (8 * i);
  return value;
}

/// A BAR's size cannot be seen in a dump; its alignment is the best guess, within what cards have.
void guess_resources(device_model& model) {
  for (unsigned i = 0; i < 6; ++i) {
    const auto bar = dword(model, reg::bar0 + 4U * i);
    if (bar == 0)
      continue;
    auto& resource = model.resources[i];
    const bool io = (bar & 1) != 0, wide = !io && (bar & 6) == 4 && i < 5;
    std::uint64_t start = bar & (io ? ~3U : ~0xfU);
    resource.flags = (io ? pci::resource::io : pci::resource::memory) | (bar & 0xfU);
    if (wide) {
      start |= static_cast<std::uint64_t>(dword(model, reg::bar0 + 4U * ++i)) << 32;
      resource.flags |= pci::resource::memory_64;
    }
    const auto aligned = start & (~start + 1);
    resource.start = start;
    resource.end = start + std::clamp<std::uint64_t>(aligned, io ? 32 : 4096, io ? 256 : 0x20000) - 1;
  }
}

void complete(reader& seen) {
  auto& model = seen.model;
  if (!seen.has_ids) {
    model.vendor = static_cast<std::uint16_t>(dword(model, 0));
    model.device = static_cast<std::uint16_t>(dword(model, 0) >> 16);
  }
  if (!seen.has_irq && std::to_integer<unsigned>(model.config[reg::interrupt_pin]) != 0)
    model.irq = std::to_integer<unsigned>(model.config[reg::interrupt_line]);
  if (seen.resources == 0)
    guess_resources(model);
}

} // namespace

pci::result<device_model> parse_dump(std::string_view text) {
  reader seen;
  bool first = true;
  for (auto line : split(text, '\n')) {
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    while (line.ends_with(' '))
      line.remove_suffix(1);
    if (line.empty() || line.starts_with('#'))
      continue;
    const bool good = first ? address(line.substr(0, line.find(' ')), seen.model.address) : seen.line(line);
    if (!good)
      return pci::fail(EINVAL, fmt::format("dump of a PCI function: cannot read the line \"{}\"", line.substr(0, 80)));
    first = false;
  }
  if (seen.model.config.empty())
    return pci::fail(EINVAL, "dump of a PCI function: no bytes in it");
  complete(seen);
  return std::move(seen.model);
}

pci::result<device_model> builtin_model(std::string_view name) {
  for (const auto& dump : embedded_dumps())
    if (dump.name == name)
      return parse_dump(dump.text);
  return pci::fail(ENOENT, fmt::format("no simulated function is called \"{}\"", name));
}

device_model place(device_model model, const pci::sbdf& address) {
  const auto index = static_cast<std::uint64_t>(address.machine()) % 2048;
  std::uint64_t memory = 0x40000000 + index * 0x100000, ports = 0x1000 + index % 448 * 0x80;
  model.address = address;
  for (unsigned i = 0; i < model.resources.size(); ++i) {
    auto& resource = model.resources[i];
    const auto size = resource.size();
    if (size == 0)
      continue;
    auto& next = resource.is_io() ? ports : memory;
    next = (next + size - 1) / size * size;
    resource.start = next;
    resource.end = next + size - 1;
    next += size;
    if (model.physical_function || i == pci::function::rom)
      continue;
    for (unsigned byte = 0; byte < 4; ++byte) {
      const auto type = byte == 0 ? std::to_integer<unsigned>(model.config[reg::bar0 + 4 * i]) & 0xfU : 0U;
      model.config[reg::bar0 + 4 * i + byte] = static_cast<std::byte>((resource.start >> (8 * byte) & 0xff) | type);
      if ((resource.flags & pci::resource::memory_64) != 0 &&
          i + 1 < pci::function::rom) // its upper half, which another machine may have used
        model.config[reg::bar0 + 4 * i + 4 + byte] = std::byte{0};
    }
  }
  return model;
}

} // namespace platform::sim
