// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pci/policy.hpp"

namespace pci {

/// What the host's own tables say of an interrupt line, when a function on it is leased and from time to time after.
struct line_facts {
  unsigned gsi = 0;           ///< 0: the function has no INTx line (SR-IOV virtual functions)
  bool level = false;         ///< /sys/kernel/irq/N/name is ioapic-level
  unsigned dom0_handlers = 0; ///< dom0 drivers on the line, the daemon's own holders not counted
  unsigned functions = 1;     ///< PCI functions that are wired to the line, this one included
  std::string drivers{};      ///< dom0's handlers by name, for people: "eth0, ehci_hcd:usb1"
  bool domains_share = true;  ///< Xen: two domains at least are bound to it, so dom0 is not the only one
  bool bridge = false;        ///< the function's header is not of type 0
  unsigned guests = 1;        ///< that have functions on the line, this one's included
  friend bool operator==(const line_facts&, const line_facts&) = default;
};

/// What is done about a function's line in dom0, and why.
enum class line_decision : std::uint8_t {
  acknowledge,  ///< level, and dom0 drivers use the line too: without a handler dom0 would give it up; or another guest
                ///< does: the handler bounds what this one's storm does to it
  no_line,      ///< irq 0
  edge,         ///< not level-triggered: nothing stays raised for want of an acknowledgement
  unshared,     ///< nothing else is on the line: dom0 is not bound to it
  given,        ///< other functions are on it, and dom0 drives none of them: dom0 is not bound to it
  bridge,       ///< never acknowledged (spec 5.3, header type)
  messages,     ///< as acknowledge, but the guest uses MSI or MSI-X: the handler is silent by construction
  guest_absent, ///< as acknowledge, but no guest listens to the line now: INTx stays masked until one does
  switched_off, ///< as acknowledge, but the administrator does not want it
  noirqdebug,   ///< shared with dom0, and by policy dom0's kernel is told not to give lines up
  refuse,       ///< shared with dom0, and by policy no guest gets the function
};
[[nodiscard]] std::string_view to_string(line_decision decision);

/// What a decision comes to.
struct line_plan {
  line_decision decision = line_decision::no_line;
  bool handler = false; ///< held by uio_pci_generic, whose handler claims and masks; else by pci-stub, which has none
  bool unmask = false;  ///< after the handler has claimed an interrupt, INTx is let through again
  friend bool operator==(const line_plan&, const line_plan&) = default;
};

/// All that the decision depends on.
struct line_question {
  line_facts facts{};
  line_policy policy = line_policy::acknowledge;
  bool enabled = true;      ///< the administrator's switch
  bool messages_on = false; ///< the guest uses MSI or MSI-X
};

/// The decision: the first row of a table that fits (spec 5.3, docs/mechanics.md 5). It differs from the kernel's
/// backend in what one cannot do from user space or need not: the handler is there for the whole lease, not only while
/// the guest decodes; and it is not there at all where dom0 has no driver on the line.
[[nodiscard]] line_plan decide(const line_question& question);

/// The state of one function's line during a lease. A value with pure transitions; what `plan` and the returned values
/// say is carried out by its owner.
class intx_acknowledgement {
public:
  /// The kernel's backend asks after so many acknowledgements whether the line is still shared (spec 5.5).
  static constexpr std::uint64_t check_interval = 1000;

  /// What an interrupt asks for.
  struct verdict {
    bool unmask = false; ///< let INTx through again
    bool check = false;  ///< look at the host's tables again, and hand them to `update`
  };

  /// Leased: decides anew. The switch is one guest's, the counter the function's.
  void begin(const line_facts& facts, line_policy policy);
  void end();
  /// The host's tables have been looked at again. Returns true when the decision has changed.
  [[nodiscard]] bool update(const line_facts& facts);
  /// The handler in dom0's kernel is there and is listened to, or it is not.
  void set_handler(bool installed) { handler_ = installed; }
  /// The administrator's switch; on by default.
  void set_enabled(bool enabled) { question_.enabled = enabled; }

  /// The handler in dom0's kernel has claimed an interrupt and masked INTx in the function.
  [[nodiscard]] verdict interrupt(bool messages_on);
  /// INTx may be let through now: nothing is to keep it masked.
  [[nodiscard]] bool lets_through(bool messages_on) const;

  [[nodiscard]] line_plan plan(bool messages_on = false) const;
  [[nodiscard]] bool leased() const { return leased_; }
  /// The handler is there, and interrupts are let through after it.
  [[nodiscard]] bool acknowledging(bool messages_on) const { return handler_ && lets_through(messages_on); }
  [[nodiscard]] bool handler() const { return handler_; }
  [[nodiscard]] bool enabled() const { return question_.enabled; }
  [[nodiscard]] const line_facts& facts() const { return question_.facts; }
  [[nodiscard]] std::uint64_t handled() const { return handled_; }

private:
  line_question question_;
  bool leased_ = false;
  bool handler_ = false;
  std::uint64_t handled_ = 0;
};

} // namespace pci
