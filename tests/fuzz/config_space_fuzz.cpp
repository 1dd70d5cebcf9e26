// SPDX-License-Identifier: GPL-2.0-or-later
// Any function, any policy, any sequence of accesses: a guest gets a known error number and a value of the size that it
// asked for, and what reaches the hardware is within the policy.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fuzz/support/input.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/command.hpp"
#include "pci/config_space/field_list.hpp"
#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

namespace {

using fuzz::input;
using fuzz::require;

/// One of the samples with some of its reference copy and resources overwritten.
pci::function make_function(input& in) {
  const std::array samples{test::e1000e(), test::nvme(), test::virtual_function(), test::legacy_card(), test::bridge()};
  pci::function made = samples.at(in.take<std::uint8_t>() % samples.size());
  made.irq = in.take<std::uint16_t>();
  for (unsigned changes = in.take<std::uint8_t>() % 16; changes > 0; --changes)
    made.config.at(in.take<std::uint16_t>() % made.config.size()) = in.take<std::byte>();
  for (unsigned changes = in.take<std::uint8_t>() % 4; changes > 0; --changes)
    made.resources.at(in.take<std::uint8_t>() % 7) = {in.take<std::uint64_t>(), in.take<std::uint64_t>(),
                                                      in.take<std::uint64_t>()};
  return made;
}

pci::policy make_policy(input& in) {
  const auto bits = in.take<std::uint8_t>();
  pci::policy made;
  made.permissive = (bits & 1) != 0;
  made.allow_interrupt_control = (bits & 2) != 0;
  for (unsigned quirks = bits >> 6; quirks > 0; --quirks)
    made.quirks.push_back({in.take<std::uint16_t>(), in.take<std::uint8_t>(), in.take<std::uint32_t>()});
  return made;
}

struct guarded {
  unsigned first = 0, end = 0;
};

class trial {
public:
  trial(const pci::function& function, const pci::policy& policy, pci::space space)
      : policy_(policy), port_(function), space_(std::move(space)), size_(function.config_size()),
        conventional_(!function.is_virtual() && !pci::find_capability(function, pci::reg::cap_express)) {
    // Registers that take everything show the most; but COMMAND keeps to its 11 bits, as all hardware does.
    for (unsigned at = 8; at < function.config_size(); at += 4)
      port_.allow(at, 4, 0xffffffff);
    for (const pci::field& each : space_.fields())
      if (each.write == pci::writing::msi_control || each.write == pci::writing::msix_control)
        controls_.push_back({each.offset, static_cast<unsigned>(each.offset) + each.width});
  }

  void step(input& in) {
    const auto kind = in.take<std::uint8_t>();
    if ((kind & 0x0f) == 0x0f)
      disturb(in);
    const auto [offset, size] = where(in, kind);
    const std::uint32_t value = what(in, kind, offset, size);
    port_.accesses.clear();
    command_ = port_.get(pci::reg::command, 2);
    latency_ = port_.get(pci::reg::latency_timer, 1);
    if ((kind & 0x10) != 0) {
      answered(space_.write(port_, offset, size, value).error);
      for (const auto& each : port_.accesses)
        if (each.write)
          judge(each);
      judge_refused();
    } else {
      read(offset, size);
    }
    require(port_.accesses.size() <= 16, "few accesses");
    for (const auto& each : port_.accesses)
      require(each.offset + each.width <= size_, "the hardware is accessed within its space");
  }

private:
  struct place {
    std::int32_t offset, size;
  };

  /// A register of the tables; any well-formed place; now and then any two integers.
  place where(input& in, std::uint8_t kind) const {
    if ((kind & 0xe0) == 0xe0)
      return {in.take<std::int32_t>(), in.take<std::int32_t>()};
    if ((kind & 0x01) != 0) {
      const pci::field& some = space_.fields()[in.take<std::uint8_t>() % space_.fields().size()];
      return {some.offset, some.width};
    }
    const auto size = std::int32_t{1} << (kind >> 5) % 3;
    return {in.take<std::uint16_t>() % 4096 / size * size, size};
  }

  /// What stands there with one bit turned over, or anything.
  std::uint32_t what(input& in, std::uint8_t kind, std::int32_t offset, std::int32_t size) {
    if ((kind & 0x02) != 0)
      return in.take<std::uint32_t>();
    return space_.read(port_, offset, size).value ^ 1U << in.take<std::uint8_t>() % 32;
  }

  /// The hardware changes by itself, fails, or is gone; the daemon or the next guest comes along.
  void disturb(input& in) {
    const auto what = in.take<std::uint8_t>();
    if (what < 0x80)
      port_.set(8 + in.take<std::uint16_t>() % (256 - 8), 1, in.take<std::uint8_t>());
    else if (what < 0xa0)
      port_.set(pci::reg::command, 2, in.take<std::uint16_t>());
    else if (what < 0xc0)
      space_.set_interrupt_mode(static_cast<pci::interrupt_mode>(what % 3));
    else if (what < 0xd0)
      port_.fail_reads(in.take<std::uint8_t>());
    else if (what < 0xe0)
      port_.fail_writes(in.take<std::uint8_t>());
    else
      space_.reset(policy_);
  }

  void read(std::int32_t offset, std::int32_t size) {
    const pci::access got = space_.read(port_, offset, size);
    answered(got.error);
    require(port_.writes().empty() && port_.accesses.size() <= 1, "a read reads, at most once");
    const unsigned width = size == 1 || size == 2 || size == 4 ? static_cast<unsigned>(size) : 0;
    require((got.value & ~pci::all_bits(width)) == 0, "a value has no more bits than were asked for");
    if (got.error == pci::op_error::success && port_.accesses.empty())
      require(space_.read(port_, offset, size) == got, "what is known stays");
  }

  static void answered(pci::op_error error) {
    const auto number = static_cast<std::int32_t>(error);
    require(number <= 0 && number >= -5 && error != pci::op_error::not_implemented, "a known error number");
  }

  void judge(const test::hardware_access& written) const {
    require(written.offset % written.width == 0, "aligned");
    const auto touches = [&](unsigned first, unsigned end) {
      return written.offset < end && written.offset + written.width > first;
    };
    if (touches(pci::reg::command, pci::reg::status))
      judge_command(written);
    if (touches(pci::reg::status, pci::reg::class_revision))
      require(written.offset == pci::reg::status && (written.value & ~std::uint32_t{pci::reg::status_rw1c}) == 0,
              "STATUS gets its write-1-to-clear bits alone");
    require(!touches(0, pci::reg::command), "the ids are not written");
    for (const guarded& each : controls_) {
      if (!touches(each.first, each.end))
        continue;
      require(policy_.permissive || policy_.allow_interrupt_control, "interrupt control is the daemon's");
      require(written.offset == each.first && written.width == 2, "interrupt control is written as 16 bits");
    }
    const auto opens = [&](const pci::field& each) {
      return each.write != pci::writing::none && each.write != pci::writing::uncovered &&
             touches(each.offset, static_cast<unsigned>(each.offset) + each.width);
    };
    const auto& fields = space_.fields();
    require(policy_.permissive || is_time_on_the_bus(written) || std::any_of(fields.begin(), fields.end(), opens),
            "unlisted registers are not written");
  }

  /// What no guest writes, but the daemon as the kernel does: 64 clocks for one that has become a master with next to
  /// none. PCI Express knows no such time, nor do virtual functions.
  [[nodiscard]] bool is_time_on_the_bus(const test::hardware_access& written) const {
    const auto master = command_ ^ pci::reg::command_master;
    return written.offset == pci::reg::latency_timer && written.width == 1 && written.value == 64 && latency_ < 16 &&
           (port_.get(pci::reg::command, 2) & master & pci::reg::command_master) != 0 && conventional_;
  }

  /// What is kept is bounded, and what is suggested can be had.
  void judge_refused() const {
    const auto& refused = space_.refused();
    require(refused.last().size() <= pci::refused_writes::most, "few are kept");
    require(refused.count() >= refused.last().size(), "all are counted");
    const auto quirks = pci::suggested_quirks({}, refused.last(), space_.own_fields(), space_.size());
    auto fields = std::vector(space_.own_fields().begin(), space_.own_fields().end());
    require(pci::append_quirks(fields, {.quirks = quirks}, space_.size()).empty(), "a suggestion is a quirk");
  }

  void judge_command(const test::hardware_access& written) const {
    require(written.offset == pci::reg::command && written.width == 2, "COMMAND is written as itself");
    const std::uint32_t changed = command_ ^ written.value;
    const std::uint32_t cleared = command_ & ~written.value;
    require((cleared & pci::command::decode) == 0, "decoding is never switched off");
    std::uint32_t free = pci::command::decode | pci::reg::command_master | pci::reg::command_invalidate;
    if (policy_.permissive)
      free |= pci::command::guest_bits;
    if (policy_.allow_interrupt_control)
      free |= pci::reg::command_intx_disable;
    require((changed & ~free) == 0, "the bits that are not the guest's stay");
  }

  pci::policy policy_;
  test::fake_port port_;
  pci::space space_;
  std::vector<guarded> controls_;
  std::size_t size_;
  bool conventional_;
  std::uint32_t command_ = 0, latency_ = 0; ///< before the step
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in{{data, size}};
  const pci::function function = make_function(in);
  const pci::policy policy = make_policy(in);
  (void)pci::find_msi(function);
  if (const auto msix = pci::find_msix(function))
    require(msix->table_size >= 1 && msix->table_size <= 2048 && msix->table_bar < 6, "an MSI-X table within bounds");
  auto space = pci::space::build(function, policy);
  if (!space)
    return 0;
  trial one{function, policy, std::move(*space)};
  for (unsigned steps = 0; steps < 256 && !in.empty(); ++steps)
    one.step(in);
  return 0;
}
