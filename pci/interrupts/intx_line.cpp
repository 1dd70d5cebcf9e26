#include "pci/interrupts/intx_line.hpp"

namespace pci {

line_decision decide(const line_facts& facts) {
  if (facts.gsi == 0)
    return line_decision::no_line;
  if (!facts.level)
    return line_decision::edge;
  return facts.dom0_handlers == 0 ? line_decision::unshared : line_decision::acknowledge;
}

std::string_view to_string(line_decision decision) {
  switch (decision) {
  case line_decision::acknowledge:
    return "acknowledge";
  case line_decision::no_line:
    return "no line";
  case line_decision::edge:
    return "edge-triggered";
  case line_decision::unshared:
    break;
  }
  return "not shared with dom0";
}

void intx_acknowledgement::begin(const line_facts& facts, bool holder_can) {
  decision_ = decide(facts);
  active_ = decision_ == line_decision::acknowledge && holder_can;
  enabled_ = true; // the switch is one guest's, the counter the function's
}

void intx_acknowledgement::end() { active_ = false; }

bool intx_acknowledgement::interrupt(bool message_interrupts_on) {
  if (!active_)
    return false; // a last one that was on its way when the lease ended: INTx stays masked
  ++handled_;
  return enabled_ && !message_interrupts_on;
}

bool intx_acknowledgement::set_enabled(bool enabled, bool message_interrupts_on) {
  const bool turned_on = enabled && !enabled_;
  enabled_ = enabled;
  // While it was off, the handler may have masked INTx, and nothing would ever unmask it.
  return active_ && turned_on && !message_interrupts_on;
}

} // namespace pci
