// SPDX-License-Identifier: GPL-2.0-or-later
// How guests enumerate their functions.
#include <algorithm>
#include <bitset>
#include <cerrno>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/frontend.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

/// "%04x:%02x" as the backend writes root-N.
std::optional<pci::sbdf> parse_root(const std::string& text) {
  pci::sbdf root;
  const auto* end = text.data() + text.size();
  const auto [colon, bad_segment] = std::from_chars(text.data(), end, root.segment, 16);
  if (bad_segment != std::errc() || colon == end || *colon != ':')
    return std::nullopt;
  const auto [last, bad_bus] = std::from_chars(colon + 1, end, root.bus, 16);
  return bad_bus != std::errc() || last != end ? std::nullopt : std::optional(root);
}

bool absent(std::uint32_t ids) { return ids == 0 || ids == 0xffffffff || ids == 0x0000ffff || ids == 0xffff0000; }

} // namespace

const seen_function* frontend::find(const pci::sbdf& function) const {
  const auto found =
      std::find_if(functions_.begin(), functions_.end(), [&](const auto& seen) { return seen.address == function; });
  return found == functions_.end() ? nullptr : &*found;
}

/// Without root_num Linux and NetBSD look at 0000:00. The BSDs leave other segments out; NetBSD counts the digits.
std::vector<pci::sbdf> frontend::published_roots() {
  auto& store = host_->store_daemon().for_domain(domain_);
  if (!store.read(backend_path_ + "/root_num"))
    return habits_->needs_root_num ? std::vector<pci::sbdf>{} : std::vector{pci::sbdf{}};
  const auto count = published("root_num");
  std::vector<pci::sbdf> roots;
  for (int i = 0; i < std::min(count, 256); ++i) {
    const auto text = store.read(fmt::format("{}/root-{}", backend_path_, i)).value_or("");
    const auto root = parse_root(text);
    const bool is_bsd = kind_ == flavour::netbsd || kind_ == flavour::freebsd;
    if (root && (!is_bsd || root->segment == 0) && (kind_ != flavour::netbsd || text.find(':') == 4))
      roots.push_back(*root);
  }
  return roots;
}

/// mini-os's pcifront_scan: what the backend lists, by the host's addresses.
std::vector<seen_function> frontend::scan_list() {
  std::vector<seen_function> found;
  const auto count = published("num_devs");
  for (int i = 0; i < count; ++i)
    if (const auto address = listed("dev", i))
      (void)scan_devfn(*address, found);
  return found;
}

std::vector<seen_function> frontend::scan() {
  std::vector<seen_function> found;
  if (habits_->host_addresses)
    found = scan_list();
  else {
    buses scanned;
    for (const auto& root : published_roots())
      scan_bus(root, true, scanned, found);
  }
  functions_ = found;
  return found;
}

/// A bus and those behind the bridges that are found on it. Linux makes no root of a bus that it has, and pcifront
/// closes then.
void frontend::scan_bus(const pci::sbdf& bus, bool root, buses& scanned, std::vector<seen_function>& found) {
  if (!scanned.insert({bus.segment, bus.bus}).second) {
    panic(fmt::format("domain {}: bus {:04x}:{:02x} is published, and behind a bridge too", domain_, bus.segment,
                      bus.bus));
    return;
  }
  const auto before = found.size();
  scan_slots(bus, root, found);
  for (auto i = before, end = found.size(); i < end; ++i) {
    const auto bridge = found[i].address;
    constexpr std::int32_t secondary_bus = 0x19;
    if ((found[i].header_type & 0x7f) != 1)
      continue;
    if (const auto below = static_cast<std::uint8_t>(value(bridge, secondary_bus, 1)); below > bridge.bus)
      scan_bus({bridge.segment, below, 0}, false, scanned, found);
  }
}

/// pci_scan_root_bus looks at each slot's function 0 and, where the header says so, the other seven; then pcifront
/// sweeps all 256 that are not yet known.
void frontend::scan_slots(const pci::sbdf& bus, bool root, std::vector<seen_function>& found) {
  std::bitset<256> known;
  const auto look = [&](unsigned devfn) {
    auto address = bus;
    address.devfn = static_cast<std::uint8_t>(devfn);
    return known[devfn] = scan_devfn(address, found);
  };
  for (unsigned slot = 0; slot < 32; ++slot) {
    if (!look(slot * 8) || (found.back().header_type & 0x80) == 0)
      continue;
    for (unsigned function = 1; function < 8; ++function)
      (void)look(slot * 8 + function);
  }
  if (!habits_->sweeps || !root)
    return;
  for (unsigned devfn = 0; devfn < 256; ++devfn)
    if (!known[devfn])
      (void)look(devfn);
}

bool frontend::scan_devfn(const pci::sbdf& address, std::vector<seen_function>& found) {
  auto ids = value(address, reg::vendor_id, 4);
  // Request Retry Status: the guest waits and asks again.
  for (unsigned i = 0; i < 8 && (ids & 0xffff) == 1; ++i)
    ids = value(address, reg::vendor_id, 4);
  if (absent(ids))
    return false;
  found.push_back(examine(address, ids));
  return true;
}

seen_function frontend::examine(const pci::sbdf& address, std::uint32_t ids) {
  seen_function seen;
  seen.address = address;
  seen.vendor = static_cast<std::uint16_t>(ids);
  seen.device = static_cast<std::uint16_t>(ids >> 16);
  seen.header_type = static_cast<std::uint8_t>(value(address, reg::header_type, 1));
  seen.class_code = value(address, reg::class_revision, 4) >> 8;
  const auto extended = read(address, reg::extended, 4);
  seen.extended = extended.good() && extended.value != 0xffffffff;
  seen.interrupt_pin = static_cast<std::uint8_t>(value(address, reg::interrupt_pin, 1));
  seen.interrupt_line = static_cast<std::uint8_t>(value(address, reg::interrupt_line, 1));
  size_bars(seen);
  (void)value(address, 0x2c, 4);
  walk_capabilities(seen);
  return seen;
}

/// __pci_read_base: decoding is switched off around it when the guest sees it on.
void frontend::size_bars(seen_function& function) {
  const auto& at = function.address;
  const auto command = value(at, reg::command, 2);
  const auto decode = command & (reg::command_io | reg::command_memory);
  if (decode != 0)
    (void)write(at, reg::command, 2, command & ~decode);
  const unsigned bars = (function.header_type & 0x7f) == 1 ? 2 : 6;
  for (unsigned i = 0; i < bars; ++i) {
    const auto offset = static_cast<std::int32_t>(reg::bar0 + 4 * i);
    function.bars[i] = value(at, offset, 4);
    (void)write(at, offset, 4, function.bars[i] | 0xffffffff);
    function.bar_masks[i] = value(at, offset, 4);
    (void)write(at, offset, 4, function.bars[i]);
  }
  const auto rom = bars == 2 ? reg::rom_type1 : reg::rom_type0;
  const auto old = value(at, rom, 4);
  (void)write(at, rom, 4, old | 0xfffff800);
  (void)value(at, rom, 4);
  (void)write(at, rom, 4, old);
  if (decode != 0)
    (void)write(at, reg::command, 2, command);
}

void frontend::walk_capabilities(seen_function& function) {
  if ((value(function.address, reg::status, 2) & reg::status_capabilities) == 0)
    return;
  auto at = value(function.address, reg::capabilities, 1) & 0xfcU;
  for (unsigned steps = 0; at >= 0x40 && steps < 48; ++steps) {
    const auto header = value(function.address, static_cast<std::int32_t>(at), 2);
    function.capabilities.try_emplace(static_cast<std::uint8_t>(header), static_cast<std::uint8_t>(at));
    at = header >> 8 & 0xfcU;
  }
  if (!function.extended)
    return;
  std::uint32_t next = reg::extended;
  for (unsigned steps = 0; next >= reg::extended && steps < 480; ++steps) {
    const auto header = value(function.address, static_cast<std::int32_t>(next), 4);
    if (header == 0 || header == 0xffffffff)
      return;
    next = header >> 20 & 0xffcU;
  }
}

} // namespace platform::sim
