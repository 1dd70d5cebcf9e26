// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/field.hpp"
#include "pci/config_space/port.hpp"
#include "pci/config_space/refused_writes.hpp"
#include "pci/function.hpp"
#include "pci/interrupts/message_interrupts.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/operations.hpp"

namespace pci {

/// What a configuration access came to: the wire's error number and, for a read, the value masked to the access's size
/// (for a write, what the guest wrote, unchanged). With an error a read's value is all ones, as from an absent register
/// (NetBSD's frontend looks at nothing else), or 0 when the access was malformed.
struct access {
  op_error error = op_error::success;
  std::uint32_t value = 0;
  friend bool operator==(const access&, const access&) = default;
};

/// The writes of one guest that went nowhere, because no field covers them and the space is not permissive (spec 4.3).
struct dropped_writes {
  std::uint64_t count = 0;
  std::uint16_t offset = 0; ///< of the last one; its size and its value
  std::uint8_t size = 0;
  std::uint32_t value = 0;
  bool reported = false; ///< by take_dropped_write_warning
  friend bool operator==(const dropped_writes&, const dropped_writes&) = default;
};

/// What a guest has done to a space: all that ends with the guest, and all that a restarted daemon cannot read back
/// from the hardware.
struct guest_state {
  std::uint16_t command = 0; ///< COMMAND's shadow: what the guest last wrote
  bool decoding = false;     ///< the guest has turned IO or MEMORY on
  std::uint8_t sizing = 0;   ///< bit n: the register of resource n answers with its size mask
  dropped_writes dropped;
  friend bool operator==(const guest_state&, const guest_state&) = default;
};

/// The virtual configuration space that a guest sees over a function's hardware (spec section 4), for header types 0
/// and 1. A value: the fields, what the guest has written, and nothing of the host; the hardware is handed to each
/// call.
class space {
public:
  /// Builds the fields from what was captured when the function was held. Fails with ENODEV for other header types,
  /// with EINVAL when the reference copy has neither 256 nor 4096 bytes.
  [[nodiscard]] static result<space> build(const function& function, const policy& policy);

  /// Reads 1, 2 or 4 bytes at an aligned offset for the guest. All else is invalid_offset, whatever the integers are.
  /// At most one access to the hardware, of that width; none when every bit is known without.
  [[nodiscard]] access read(config_port& port, std::int32_t offset, std::int32_t size) const;

  /// Writes for the guest. INTX_DISABLE never reaches the hardware from here unless the policy allows interrupt
  /// control: the bit belongs to the daemon.
  /// A write over several fields reaches each; the error is that of the first one that failed. The kernel's backend
  /// answers with the last one's, which may hide a failure.
  [[nodiscard]] access write(config_port& port, std::int32_t offset, std::int32_t size, std::uint32_t value);

  /// Switches off in hardware what a guest must not find on: PME_En (spec 4.7). For when the function is held.
  [[nodiscard]] result<void> prepare(config_port& port) const;

  /// Gives COMMAND what the guest has set there, after a reset and `restore` have lost it.
  [[nodiscard]] result<void> renew_command(config_port& port) const;

  /// Forgets what the last guest did: COMMAND's shadow, BAR sizing, and the once-a-guest warning; takes the policy of
  /// the next.
  void reset(const policy& policy);

  /// Takes another policy under the guest that has the function.
  void set_policy(const policy& policy);
  [[nodiscard]] write_mode mode() const { return writes_; }

  /// The writes that did not do what this guest, or the last, asked for.
  [[nodiscard]] const refused_writes& refused() const { return refused_writes_; }

  /// Tells the space which interrupts are on, so that it can answer for the registers that depend on it.
  void set_interrupt_mode(interrupt_mode mode) { mode_ = mode; }

  /// True while the guest has turned decoding on: the time in which its INTx may be raised (spec 5.1, enable_intx).
  [[nodiscard]] bool decoding() const { return state_.decoding; }

  /// True once, when a write has been dropped because no field covers it and the space is not permissive (spec 4.3).
  [[nodiscard]] bool take_dropped_write_warning();

  /// For the journal, and to go on from it under a guest that has outlived the daemon.
  [[nodiscard]] const guest_state& state() const { return state_; }
  void adopt(const guest_state& state) { state_ = state; }

  [[nodiscard]] const std::vector<field>& fields() const { return fields_; }
  /// Those without the quirks.
  [[nodiscard]] std::span<const field> own_fields() const { return std::span{fields_}.first(own_fields_); }
  [[nodiscard]] std::size_t size() const { return size_; } ///< bytes: 256 or 4096

  /// The quirks of the policy that could not be had: malformed, beyond the space, or over a register with its own rule.
  [[nodiscard]] const std::vector<quirk>& refused_quirks() const { return refused_; }

private:
  /// The bits of a register that are known without the hardware, and what they are (0 elsewhere).
  struct overlay {
    std::uint32_t known = 0;
    std::uint32_t value = 0;
  };

  space() = default;

  // space.cpp
  [[nodiscard]] overlay overlay_of(const field& what) const;
  [[nodiscard]] overlay overlay_of(register_span where) const;
  [[nodiscard]] access read(config_port& port, register_span where) const;
  /// True for registers that the specification reserves: an extended space that began with no capability and was zero
  /// throughout when the function was held. Source: PCI Express Base 5.0 section 7.6.2.
  [[nodiscard]] bool is_reserved(register_span where) const;
  [[nodiscard]] bool inside(std::int32_t offset, std::int32_t size) const;
  [[nodiscard]] op_error write_uncovered(config_port& port, register_span where, std::uint32_t value);
  /// Remembers a write that did nothing; what it would have changed the hardware is asked.
  void note_dropped(config_port& port, register_span where, std::uint32_t value);
  /// Likewise the bytes of a write that are not `covered` by the fields that took the others.
  void note_beside(config_port& port, register_span where, std::uint32_t value, std::uint32_t covered);

  // field_writes.cpp: `where` and `value` are the request's, `merged` is the whole register as it is to become.
  op_error write_field(config_port& port, const field& what, register_span where, std::uint32_t value);
  op_error write_masked(config_port& port, const field& what, register_span where, std::uint32_t value);
  /// A register that only a quirk could open.
  void write_closed(config_port& port, const field& what, register_span where, std::uint32_t value);
  op_error write_merged(config_port& port, const field& what, std::uint32_t merged);
  op_error write_command(config_port& port, std::uint16_t merged);
  static void give_time_on_the_bus(config_port& port);
  op_error write_bar(config_port& port, const field& what, std::uint32_t merged);
  [[nodiscard]] op_error write_pmcsr(config_port& port, const field& what, std::uint16_t merged) const;
  [[nodiscard]] op_error write_control(config_port& port, const field& what, std::uint16_t merged) const;
  [[nodiscard]] op_error may_enable(config_port& port, writing control) const;

  std::vector<field> fields_;
  std::size_t own_fields_ = 0; ///< of fields_; behind them are the quirks
  std::array<base_register, 7> bars_;
  std::size_t size_ = 0;
  bool empty_extended_ = false;
  std::uint16_t first_command_ = 0; ///< what a new guest finds in COMMAND's shadow
  std::uint16_t decode_ = 0;        ///< the decode bits that enabling the function means
  std::uint16_t pmc_ = 0;           ///< power management capabilities: which states there are
  bool virtual_ = false;
  bool conventional_ = false; ///< on a PCI or PCI-X bus, where masters take turns
  bool permissive_ = false;
  write_mode writes_ = write_mode::strict;
  bool interrupt_control_ = false;
  std::vector<quirk> refused_;
  refused_writes refused_writes_;
  guest_state state_;
  interrupt_mode mode_ = interrupt_mode::intx;
};

} // namespace pci
