// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pci/address.hpp"
#include "pci/config_space/field.hpp"
#include "pci/config_space/refused_writes.hpp"
#include "pci/function.hpp"
#include "pci/interrupts/intx_line.hpp"
#include "pci/interrupts/message_interrupts.hpp"
#include "pci/interrupts/spurious_watch.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/protocol/function_life.hpp"
#include "pci/protocol/guard_state.hpp"
#include "pci/protocol/operations.hpp"
#include "pci/protocol/xenbus.hpp"

namespace messages {

using domain_id = std::uint16_t;
inline constexpr domain_id unknown_domain = 0x7ff4; ///< DOMID_INVALID: some domain, nobody can say which

/// What a held function is doing.
enum class function_state : std::uint8_t {
  holding,   ///< being taken from dom0's driver
  held,      ///< clean and quarantined: can be handed out
  granted,   ///< the toolstack's half is done for a guest, which has not got it yet
  leased,    ///< a guest has it
  inherited, ///< a guest has it from an earlier instance of the daemon: not served, and left alone until it ends
  scrubbing, ///< taken back, not yet clean
  failed,    ///< the scrub could not show that it is clean: not to be handed out
  gone,      ///< the hardware was removed
  refused,   ///< not held, for the reason told: another card than pinned, or dom0 runs from it
};
[[nodiscard]] std::string_view to_string(function_state state);
/// What others are told of a phase of its life.
[[nodiscard]] function_state state_of(pci::function_life::phase phase);
[[nodiscard]] std::string_view to_string(pci::interrupt_mode mode);

/// What a function's errors came to since it was held.
struct error_account {
  std::uint64_t corrected = 0; ///< errors that the function reported
  std::uint64_t nonfatal = 0;
  std::uint64_t fatal = 0;
  std::uint64_t recovered = 0; ///< recoveries by its guests
  std::uint64_t failed = 0;    ///< recoveries that did not succeed
  std::string last;            ///< the last error, decoded: "fatal: Malformed TLP"; empty: none
};

/// What a domain actor needs to know of an error of a function that it has leased.
struct function_error {
  pci::sbdf address;                     ///< on the host
  std::uint64_t lease = 0;               ///< its number
  std::optional<pci::channel_state> how; ///< a new error
  bool host_ended = false;               ///< what the kernel resets is reset
  pci::error_policy policy = pci::error_policy::kill;
  bool in_use = true; ///< a driver of the guest's has the function: it masters the bus, or has vectors
};

/// Whose a held function is.
struct function_owner {
  function_state state = function_state::holding;
  std::optional<domain_id> domain; ///< empty: nobody's, or nobody knows whose
};

/// One held function, as the administrator sees it.
struct function_status {
  pci::sbdf address;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;
  function_state state = function_state::holding;
  std::string detail;                       ///< why it failed, or the scrub's step; else empty
  std::optional<domain_id> domain;          ///< whose it is
  std::optional<domain_id> target;          ///< whose device model uses it: that HVM guest, or a stub domain's
  std::string guest;                        ///< that guest in words: "web (4), by its stub domain 5"; empty: unknown
  std::optional<pci::sbdf> virtual_address; ///< where that guest sees it
  pci::interrupt_mode mode = pci::interrupt_mode::intx;
  std::vector<pci::bound_vector> vectors;
  unsigned gsi = 0;                   ///< 0: no INTx line
  std::vector<domain_id> line_guests; ///< the others that have functions on it
  pci::line_decision line = pci::line_decision::no_line;
  bool acknowledging = false;
  std::uint64_t acknowledged = 0; ///< interrupts that the handler claimed
  bool handler = false;           ///< held by uio_pci_generic, whose handler claims; else by pci-stub
  std::uint64_t spurious = 0;     ///< interrupts of the line that nobody in dom0 claimed, while guests had the function
  bool storm = false;             ///< the function raises too many: they are let through with pauses
  std::uint64_t storms = 0;       ///< so far
  pci::line_danger danger = pci::line_danger::none; ///< of dom0's giving the line up
  std::uint64_t operations = 0;                     ///< served since the function was held
  std::uint64_t refused = 0;                        ///< of these, answered with an error
  bool permissive = false;
  error_account errors;
  pci::write_mode writes = pci::write_mode::strict; ///< in force now, or for the next lease
  std::vector<pci::quirk> quirks;
  bool interrupt_control = false;
  std::uint64_t refused_writes = 0; ///< of this lease or, while there is none, of the last
  std::vector<std::string> notes;   ///< what is odd about the hardware and matters to who hands it out, one line each
  pci::guard_state guard = pci::guard_state::none; ///< whether its removal from dom0 would wait
  std::vector<domain_id> last_guests;              ///< that run on without it, and keep what they have mapped of it
  bool reserved = false;                           ///< it goes to nobody else until these have ended
  bool rests = false;                              ///< in D3hot, until somebody gets it
  std::string driver; ///< of dom0's kernel, bound now; only `list` and `explain` look it up. Empty: none
};

/// A register that a guest wrote in vain, with its name.
struct refused_register {
  pci::refused_write what;
  std::string name; ///< empty: none is known
};

/// One held function's registers: what a guest may do with them, and what it tried.
struct register_account {
  pci::sbdf address;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem = 0;
  pci::policy policy;                 ///< in force now, or for the next lease
  std::vector<pci::field> fields;     ///< the virtual space's; the quirks stand last
  std::uint64_t refused = 0;          ///< writes, of this lease or of the last
  std::vector<refused_register> last; ///< the latest stands last
  std::vector<pci::quirk> suggested;  ///< for the settings: these would have let all of them through
};

/// One held function's configuration space, as it was, as it is, and as a guest reads it: 256 or 4096 bytes each.
struct config_account {
  pci::function function;          ///< with the reference copy
  std::vector<std::byte> hardware; ///< read now; empty: it could not be
  std::vector<std::byte> guest;    ///< empty likewise
  std::string trouble;             ///< why not
  std::optional<domain_id> domain; ///< whose view it is; empty: what the next guest would read
};

/// One guest that is served.
struct domain_status {
  domain_id domain = 0;
  pci::xenbus_state backend = pci::xenbus_state::unknown;
  pci::xenbus_state frontend = pci::xenbus_state::unknown;
  bool connected = false;
  std::vector<pci::sbdf> functions;
  bool takes_hot_plug = true;             ///< false: its frontend would not survive the states 6 to 8 while it runs
  std::uint64_t operations = 0;           ///< taken from the page
  std::uint64_t absent = 0;               ///< of these, for addresses where there is nothing
  std::uint64_t late = 0;                 ///< answers that the guest had given up on
  std::uint64_t spurious = 0;             ///< events with nothing in the page
  std::uint64_t interrupt_operations = 0; ///< that switched MSI or MSI-X on or off
  std::uint64_t delayed = 0;              ///< of these, answered later, as there were too many
  std::uint64_t delayed_accesses = 0;     ///< of the other operations, likewise
  unsigned interrupt_rate = 0;            ///< its budget: so many a second of the former
  unsigned access_rate = 0;               ///< and so many of the latter
  std::uint64_t polled = 0;               ///< operations that were found without their event
  std::uint64_t events_late = 0;          ///< answers whose event was left out until the guest was seen to wait for it
  std::string frontend_error;             ///< what the frontend says of itself, made printable; empty: nothing
  std::string name;                       ///< in xenstore; only `list` and `explain` look it up
};

/// Why something is not so that the settings want.
enum class wish_gap : std::uint8_t {
  absent,    ///< the host has no such function
  not_held,  ///< it is there, and dom0 has it
  no_guest,  ///< no guest of that name or UUID runs
  not_given, ///< the guest runs, and does not have it
};
/// "absent", "not-held", "no-guest", "not-given".
[[nodiscard]] std::string_view to_string(wish_gap gap);

/// A function that is to be held, or to be a guest's, by the settings, and is not.
struct unmet_wish {
  pci::sbdf address;
  wish_gap gap = wish_gap::absent;
  std::string guest;  ///< as [[assign]] names it; empty: it is only to be held
  std::string driver; ///< of dom0's, that has the function; empty: none
  std::string why;    ///< one line
};

/// Everything at once.
struct overview {
  std::vector<function_status> functions;
  std::vector<domain_status> domains;
  std::vector<std::string> beyond_xen; ///< functions in segments that Xen cannot name
  std::vector<unmet_wish> unmet;       ///< by address; only `list` and `explain` look for them
};

/// A domain that is named by its number or by its name, as an administrator has written it.
struct domain_name {
  std::string text;
};

/// What an administrator wants otherwise than the settings say, when a function is handed out.
struct attach_options {
  std::optional<pci::rdm_policy> rdm{}; ///< about reserved memory (RMRR) that it shares
};

/// What a lease needs to know of the guest.
struct lease_request {
  domain_id domain = 0;
  bool permissive = false;         ///< opts-N asks for it
  std::optional<domain_id> target; ///< as in function_status
  std::string guest;               ///< likewise
};

/// The way to a leased function for its guest's operations, on the thread that serves the guest: no message, no actor.
/// Thread-safe; ends with the lease, and then answers dev_not_found.
class function_access {
public:
  function_access() = default;
  function_access(const function_access&) = delete;
  function_access& operator=(const function_access&) = delete;
  virtual ~function_access() = default;
  [[nodiscard]] virtual pci::answer operate(const pci::request& what) = 0;
  /// What is known of the function, for who tells of its operations; null: nothing.
  [[nodiscard]] virtual std::shared_ptr<const pci::function> description() const { return nullptr; }
  /// Where it is on the host, without a look at anything that changes.
  [[nodiscard]] virtual pci::sbdf address() const { return {}; }
};

/// A lease. What concerns it carries its number, so that nothing of an earlier one reaches a later one.
struct lease {
  std::uint64_t number = 0;
  std::shared_ptr<function_access> access;
  // What the guest's topology needs to know.
  bool is_virtual_function = false;
  std::vector<pci::sbdf> bridges; ///< above the function
};

/// Something to do on a thread that may block. The closure must not throw.
struct job {
  std::function<void()> run;
};

} // namespace messages
