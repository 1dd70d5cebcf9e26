// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest.hpp"

#include <numeric>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/usable.hpp"
#include "platform/sim/guest_memory.hpp"

namespace cards {

namespace reg = pci::reg;
using pci::op_code;
using platform::sim::flavour;

guest::guest(world& in, messages::domain_id domain, std::mt19937 random)
    : in_(in), wrong_(in.wrong), domain_(domain), front_(in.host, domain, in, in.how.kind), random_(random) {
  if (const auto msi = pci::find_msi(in_.description)) {
    msi_ = {true, static_cast<std::uint16_t>(msi->offset + reg::message_control), reg::msi_enable};
  }
  if (const auto msix = pci::find_msix(in_.description)) {
    msix_ = {true, static_cast<std::uint16_t>(msix->offset + reg::message_control), reg::msix_enable};
    msix_entries_ = msix->table_size;
  }
}

bool guest::finds_card() {
  const auto& found = front_.functions();
  if (!wrong_.expect(found.size() == 1, "the guest finds {} functions", found.size())) {
    return false;
  }
  at_ = found.front().address;
  const auto& seen = found.front();
  wrong_.expect(seen.vendor == in_.what.model.vendor && seen.device == in_.what.model.device,
                "the guest sees it as {:04x}:{:04x}", seen.vendor, seen.device);
  wrong_.expect(!seen.capabilities.contains(reg::cap_msix) || msix_.there, "the guest is shown MSI-X");
  wrong_.expect(seen.capabilities.contains(reg::cap_msi) == msi_.there, "MSI is {}shown", msi_.there ? "not " : "");
  return true;
}

platform::sim::reply guest::access(op_code code, std::int32_t offset, std::int32_t size, std::uint32_t value) {
  auto what = front_.make(code, at_);
  what.offset = offset;
  what.size = size;
  what.value = value;
  return front_.perform(what);
}

std::uint32_t guest::read(std::int32_t offset, std::int32_t size) {
  const auto answer = access(op_code::conf_read, offset, size);
  wrong_.expect(answer.good(), "a read of {} bytes at {:x} is answered with {}", size, offset, answer.error);
  return answer.value;
}

void guest::write(std::int32_t offset, std::int32_t size, std::uint32_t value) {
  const auto answer = access(op_code::conf_write, offset, size, value);
  wrong_.expect(answer.good(), "a write of {:x} ({} bytes) at {:x} is answered with {}", value, size, offset,
                answer.error);
}

void guest::scan() {
  const auto size = static_cast<std::int32_t>(in_.what.model.config.size());
  space_bytes seen(static_cast<std::size_t>(size));
  for (std::int32_t offset = 0; offset < size; ++offset) {
    seen[static_cast<std::size_t>(offset)] = static_cast<std::byte>(read(offset, 1));
  }
  for (const std::int32_t width : {2, 4}) {
    for (std::int32_t offset = 0; offset < size; offset += width) {
      const auto composed = value_in(seen, static_cast<std::size_t>(offset), static_cast<unsigned>(width));
      const auto whole = read(offset, width);
      wrong_.expect(whole == composed, "{} bytes at {:x} read {:x}, one by one {:x}", width, offset, whole, composed);
    }
  }
  for (const auto& [offset, width] :
       std::array<std::pair<std::int32_t, std::int32_t>, 5>{{{size, 1}, {size, 4}, {1, 2}, {2, 4}, {0, 3}}}) {
    const auto answer = access(op_code::conf_read, offset, width);
    wrong_.expect(answer.error == static_cast<std::int32_t>(pci::op_error::invalid_offset),
                  "a read of {} bytes at {:x} is answered with {}", width, offset, answer.error);
  }
  compare_with_hardware(seen);
}

void guest::compare_with_hardware(const space_bytes& seen) {
  const auto now = in_.space();
  for (std::size_t offset = 0; offset < now.size(); ++offset) {
    wrong_.expect(seen[offset] == now[offset] || may_differ(offset),
                  "the guest sees {:02x} at {:x}, the hardware has {:02x}", std::to_integer<unsigned>(seen[offset]),
                  offset, std::to_integer<unsigned>(now[offset]));
  }
}

/// Where a guest is shown something else than the register; the header's type says what its topology is.
bool guest::may_differ(std::size_t offset) const {
  const bool bridge = in_.description.header_layout() == 1;
  const std::size_t end_of_bars = bridge ? 0x18 : 0x28, rom = bridge ? reg::rom_type1 : reg::rom_type0;
  const auto within = [offset](std::size_t first, std::size_t size) {
    return offset >= first && offset < first + size;
  };
  if (within(reg::vendor_id, 4) || within(reg::command, 2) || within(reg::bar0, end_of_bars - reg::bar0) ||
      within(rom, 4) || offset == reg::capabilities || offset == reg::header_type || within(reg::interrupt_line, 2)) {
    return true;
  }
  for (const auto& each : pci::list_capabilities(in_.description)) {
    if (offset == each.offset + 1U || (each.id == reg::cap_pm && within(each.offset + reg::pmc, 2U))) {
      return true;
    }
  }
  return false;
}

void guest::size_registers() {
  const bool bridge = in_.description.header_layout() == 1;
  const auto& resources = in_.description.resources;
  for (std::size_t i = 0; i < (bridge ? 2U : 6U); ++i) {
    const auto offset = static_cast<std::int32_t>(reg::bar0 + 4 * i);
    size_register(offset, resources.at(i), false);
    if (resources.at(i).is_memory() && (resources.at(i).flags & pci::resource::memory_64) != 0) {
      ++i; // the upper half was sized with it
    }
  }
  size_register(bridge ? reg::rom_type1 : reg::rom_type0, resources.at(pci::function::rom), true);
}

/// As a kernel does it, both halves of one of 64 bits.
void guest::size_register(std::int32_t offset, const pci::resource& what, bool is_rom) {
  const bool wide = !is_rom && what.is_memory() && (what.flags & pci::resource::memory_64) != 0;
  const std::int32_t halves = wide ? 2 : 1;
  std::array<std::uint32_t, 2> old{}, mask{};
  const std::array<std::uint32_t, 2> before{in_.hardware(static_cast<std::uint16_t>(offset), 4),
                                            in_.hardware(static_cast<std::uint16_t>(offset + 4), 4)};
  for (std::int32_t half = 0; half < halves; ++half) {
    const auto i = static_cast<std::size_t>(half);
    old.at(i) = read(offset + 4 * half, 4);
    write(offset + 4 * half, 4, is_rom ? reg::rom_address : 0xffffffffU);
    mask.at(i) = read(offset + 4 * half, 4);
    write(offset + 4 * half, 4, old.at(i));
    wrong_.expect(read(offset + 4 * half, 4) == old.at(i), "the register at {:x} is not as before its sizing", offset);
  }
  const std::uint32_t type = is_rom ? ~reg::rom_address : what.is_io() ? 0x3U : 0xfU;
  const auto begin = (old[0] & ~type) | std::uint64_t{old[1]} << 32;
  const auto size = ~((mask[0] & ~type) | (wide ? std::uint64_t{mask[1]} << 32 : ~std::uint64_t{0xffffffff})) + 1;
  if (pci::usable(what)) {
    wrong_.expect(begin == what.start, "the register at {:x} says {:x}, not {:x}", offset, begin, what.start);
    wrong_.expect(size == what.size() || (is_rom && what.size() < 0x800),
                  "the register at {:x} has {:x} bytes, not {:x}", offset, size, what.size());
  } else {
    wrong_.expect(begin == 0 && (mask[0] & ~type) == 0, "the register at {:x} has an address", offset);
  }
  for (std::int32_t half = 0; half < halves; ++half) {
    wrong_.expect(in_.hardware(static_cast<std::uint16_t>(offset + 4 * half), 4) ==
                      before.at(static_cast<std::size_t>(half)),
                  "the guest's sizing moved the register at {:x}", offset + 4 * half);
  }
}

/// Decoding on, and a register of each BAR that is the driver's: all but those that the capability says are MSI-X's.
void guest::use_memory() {
  write(reg::command, 2, read(reg::command, 2) | reg::command_io | reg::command_memory);
  write(reg::command, 2, read(reg::command, 2) | reg::command_master);
  for (std::size_t i = 0; i < pci::function::rom; ++i) {
    const auto& bar = in_.description.resources.at(i);
    if (!pci::usable(bar) || !bar.is_memory()) {
      continue;
    }
    const auto has = [&](unsigned where) {
      return msix_.there && read(msix_.control - reg::message_control + static_cast<std::int32_t>(where), 4) == i;
    };
    if (!has(reg::msix_table) && !has(reg::msix_pba)) {
      const auto done = platform::sim::guest_write(in_.host, domain_, bar.start);
      wrong_.expect(done.has_value(), "BAR {}: {}", i, done ? "" : pci::to_string(done.error()));
    }
  }
}

bool guest::is_on(const kind& which) { return which.there && (in_.hardware(which.control, 2) & which.enable) != 0; }

void guest::toggle_messages() {
  // M and X: on; m and x: off, with the operation for MSI and with that for MSI-X.
  constexpr std::string_view steps = "MXmx";
  for (int turn = 0; turn < 2; ++turn) {
    for (const char first : steps) {
      for (const char second : steps) {
        for (const char third : steps) {
          play(std::string{first, second, third, 'm'});
        }
      }
    }
  }
}

void guest::play(std::string_view order) {
  for (const char each : order) {
    step(each, order);
    wrong_.expect(is_on(msi_) == (mode_ == pci::interrupt_mode::msi), "{}: MSI is {} after {}", order,
                  is_on(msi_) ? "on" : "off", each);
    wrong_.expect(is_on(msix_) == (mode_ == pci::interrupt_mode::msix), "{}: MSI-X is {} after {}", order,
                  is_on(msix_) ? "on" : "off", each);
    const auto mapped = in_.host.xen().holdings(domain_).message_pirqs.size();
    wrong_.expect(mapped == pirqs_.size(), "{}: {} pirqs, not {}, after {}", order, mapped, pirqs_.size(), each);
    if (mode_ != pci::interrupt_mode::intx) {
      wrong_.expect(in_.host.xen().raise(in_.address), "{}: a message is lost after {}", order, each);
    }
  }
}

void guest::step(char what, std::string_view order) {
  const bool off = what == 'm' || what == 'x', msi = what == 'M';
  const bool expected = msi ? msi_.there : msix_.there;
  if (off || expected) { // while a channel is open Xen keeps the interrupt that it took from it, and refuses the next
    for (const auto pirq : pirqs_) {
      front_.unbind_pirq(pirq);
    }
  }
  if (off) {
    const auto answer = front_.perform(front_.make(what == 'm' ? op_code::disable_msi : op_code::disable_msix, at_));
    wrong_.expect(answer.good(), "{}: {} is answered with {}", order, what, answer.error);
    pirqs_.clear();
    mode_ = pci::interrupt_mode::intx;
    return;
  }
  auto wish = front_.make(msi ? op_code::enable_msi : op_code::enable_msix, at_);
  if (!msi) {
    wish.value = std::clamp<std::uint32_t>(msix_entries_, 1, 3);
    for (std::uint16_t i = 0; i < wish.value; ++i) {
      wish.msix_entries[i].entry = i;
    }
  }
  const auto answer = front_.perform(wish);
  if (!wrong_.expect(answer.good() == expected, "{}: {} is answered with {}", order, what, answer.error) || !expected) {
    return;
  }
  pirqs_ = msi ? std::vector{static_cast<std::uint16_t>(answer.value)} : answer.vectors;
  mode_ = msi ? pci::interrupt_mode::msi : pci::interrupt_mode::msix;
  for (const auto pirq : pirqs_) {
    wrong_.expect(front_.bind_pirq(pirq).has_value(), "{}: pirq {} cannot be bound", order, pirq);
  }
}

void guest::write_at_random(bool permissive) {
  const auto size = static_cast<std::int32_t>(in_.what.model.config.size());
  const auto before = in_.space();
  std::uniform_int_distribution<std::uint32_t> any, choice(0, 3);
  for (const std::int32_t width : {1, 2, 4}) {
    for (std::int32_t offset = 0; offset < size; offset += width) {
      const auto bits = pci::all_bits(static_cast<unsigned>(width));
      std::uint32_t value = any(random_) & bits;
      switch (choice(random_)) {
      case 0:
        value = bits;
        break;
      case 1:
        value = access(op_code::conf_read, offset, width).value ^ (1U << (any(random_) % (8 * width)));
        break;
      default:
        break;
      }
      (void)access(op_code::conf_write, offset, width, value); // refused or not
    }
  }
  // And what no access is.
  for (int i = 0; i < 64; ++i) {
    (void)access(op_code::conf_write, static_cast<std::int32_t>(any(random_)),
                 static_cast<std::int32_t>(any(random_) % 8), any(random_));
  }
  if (!permissive) {
    check_strict(before);
  }
}

void guest::check_strict(const space_bytes& before) {
  const auto now = in_.space();
  for (std::size_t offset = 0; offset < now.size(); ++offset) {
    wrong_.expect(before[offset] == now[offset] || may_change(offset),
                  "a guest that is not permissive has changed {:x} from {:02x} to {:02x}", offset,
                  std::to_integer<unsigned>(before[offset]), std::to_integer<unsigned>(now[offset]));
  }
}

/// What the rules let a guest write.
bool guest::may_change(std::size_t offset) const {
  const auto within = [offset](std::size_t first, std::size_t size) {
    return offset >= first && offset < first + size;
  };
  if (within(reg::command, 4) || offset == reg::cache_line_size || offset == reg::bist) {
    return true;
  }
  for (const auto& each : pci::usable_capabilities(in_.description)) {
    if ((each.id == reg::cap_pm && within(each.offset + reg::pmcsr, 2U)) ||
        (each.id == reg::cap_vpd && within(each.offset + reg::vpd_address, 6U))) {
      return true;
    }
  }
  return false;
}

} // namespace cards
