#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "pci/config_space/field.hpp"
#include "pci/config_space/port.hpp"
#include "pci/function.hpp"
#include "pci/interrupts/message_interrupts.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/operations.hpp"

namespace pci {

/// What a configuration access came to: the wire's error number and, for a read, the value masked to the access's size.
struct access {
  op_error error = op_error::success;
  std::uint32_t value = 0;
  friend bool operator==(const access&, const access&) = default;
};

/// The virtual configuration space that a guest sees over a function's hardware (spec section 4), for header types 0
/// and 1. A value: the fields, what the guest has written, and nothing of the host; the hardware is handed to each
/// call.
class space {
public:
  /// Builds the fields from what was captured when the function was held. Fails with ENODEV for other header types.
  [[nodiscard]] static result<space> build(const function& function, const policy& policy);

  /// Reads 1, 2 or 4 bytes at an aligned offset for the guest. All else is invalid_offset, whatever the integers are.
  [[nodiscard]] access read(config_port& port, std::int32_t offset, std::int32_t size) const;

  /// Writes for the guest. INTX_DISABLE never reaches the hardware from here unless the policy allows interrupt
  /// control: the bit belongs to the daemon.
  [[nodiscard]] access write(config_port& port, std::int32_t offset, std::int32_t size, std::uint32_t value);

  /// Forgets what the last guest did: COMMAND's shadow, BAR sizing, and the once-a-guest warning; takes the policy of
  /// the next.
  void reset(const policy& policy);

  /// Tells the space which interrupts are on, so that it can answer for the registers that depend on it.
  void set_interrupt_mode(interrupt_mode mode) { mode_ = mode; }

  /// True while the guest has turned decoding on: the time in which its INTx may be raised (spec 5.1, enable_intx).
  [[nodiscard]] bool decoding() const;

  /// True once, when a write has been dropped because no field covers it and the space is not permissive (spec 4.3).
  [[nodiscard]] bool take_dropped_write_warning();

  [[nodiscard]] const std::vector<field>& fields() const { return fields_; }

  // The private members are config_space/'s own to choose.
private:
  std::vector<field> fields_;
  interrupt_mode mode_ = interrupt_mode::intx;
};

} // namespace pci
