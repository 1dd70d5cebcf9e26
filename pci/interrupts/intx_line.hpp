#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "pci/address.hpp"

namespace pci {

/// What the host's own tables say of an interrupt line, when a function on it is leased.
struct line_facts {
  unsigned gsi = 0;           ///< 0: the function has no INTx line (SR-IOV virtual functions)
  bool level = false;         ///< /sys/kernel/irq/N/name is ioapic-level
  unsigned dom0_handlers = 0; ///< dom0 drivers on the line, the daemon's own holders not counted
};

/// Whether dom0 needs an acknowledging handler for a function's line, and why not.
enum class line_decision : std::uint8_t {
  acknowledge, ///< level, and dom0 drivers use the line too: dom0 would disable it
  no_line,     ///< irq 0
  edge,        ///< not level-triggered: nothing stays raised for want of an acknowledgement
  unshared,    ///< every function on the line went to guests: dom0 is not bound to it
};
[[nodiscard]] line_decision decide(const line_facts& facts);
/// "acknowledge", "no line", "edge-triggered", "not shared with dom0".
[[nodiscard]] std::string_view to_string(line_decision decision);

/// The state of one function's acknowledging handler. A value with pure transitions; the device actor carries out what
/// `unmask` says.
class intx_acknowledgement {
public:
  /// Leased: decides anew. `holder_can` is false when the function is held by pci-stub, which has no handler.
  void begin(const line_facts& facts, bool holder_can);
  void end();
  /// The handler in dom0's kernel has claimed an interrupt and masked INTx in the function; returns true when INTx is
  /// to be unmasked now: acknowledging is on, and neither MSI nor MSI-X is.
  [[nodiscard]] bool interrupt(bool message_interrupts_on);
  /// The administrator's switch; on by default. Returns true when INTx is to be unmasked now.
  [[nodiscard]] bool set_enabled(bool enabled, bool message_interrupts_on);

  [[nodiscard]] bool active() const { return active_; }
  [[nodiscard]] bool enabled() const { return enabled_; }
  [[nodiscard]] line_decision decision() const { return decision_; }
  [[nodiscard]] std::uint64_t handled() const { return handled_; }

private:
  line_decision decision_ = line_decision::no_line;
  bool active_ = false;
  bool enabled_ = true;
  std::uint64_t handled_ = 0;
};

} // namespace pci
