// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <utility>

#include "fuzz/model/blueprint.hpp"
#include "fuzz/model/hardware.hpp"
#include "pci/config_space/answered.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/space.hpp"
#include "pci/policy.hpp"

namespace model {

/// What an administrator may have set, quirks that are none included.
inline pci::policy draw_policy(fuzz::input& in, const blueprint& plan) {
  pci::policy made;
  const auto bits = in.byte();
  made.permissive = (bits & 0x0b) == 0x0b;
  made.allow_interrupt_control = (bits & 0x10) != 0;
  made.msi = (bits & 0x24) != 0x24;
  made.msix = (bits & 0x44) != 0x44;
  for (unsigned left = (bits & 0x80) != 0 ? 1 + in.below(3) : 0; left > 0; --left) {
    const auto width = static_cast<std::uint8_t>(in.once_in(16) ? in.byte() : 1U << in.below(3));
    const unsigned offset = in.once_in(4) ? in.take<std::uint16_t>() : in.byte();
    made.quirks.push_back({static_cast<std::uint16_t>(offset % (plan.size() + 4)), width, in.take<std::uint32_t>()});
  }
  return made;
}

/// What carries out a guest's operations, as the daemon has it.
class tested {
public:
  tested(const blueprint& plan, const pci::function& function, const pci::policy& policy, pci::space space)
      : cards(plan), space(std::move(space)), interrupts(function), port_(cards), policy_(policy) {}

  pci::answer operate(const pci::request& what) {
    switch (static_cast<pci::op_code>(what.code)) {
    case pci::op_code::conf_read: {
      const auto got = space.read(port_, what.offset, what.size);
      return {got.error, got.value, {}};
    }
    case pci::op_code::conf_write: {
      const auto got = space.write(port_, what.offset, what.size, what.value);
      return {got.error, got.value, {}};
    }
    default: {
      const auto command = pci::read_answered(port_, pci::reg::command, 2);
      const bool decodes = command && (*command & pci::reg::command_memory) != 0;
      auto given = interrupts.operate(what, policy_, decodes, port_, port_);
      space.set_interrupt_mode(interrupts.mode());
      return given;
    }
    }
  }
  void end() {
    static_cast<void>(interrupts.end(port_, port_, true));
    space.set_interrupt_mode(interrupts.mode());
  }
  bool prepare() { return space.prepare(port_).has_value(); }
  bool renew_command() { return space.renew_command(port_).has_value(); }
  void use(const pci::policy& policy) { policy_ = policy; }

  hardware cards;
  pci::space space;
  pci::message_interrupts interrupts;

private:
  port port_;
  pci::policy policy_;
};

} // namespace model
