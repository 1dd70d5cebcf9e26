// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pci/address.hpp"
#include "pci/protocol/operations.hpp"
#include "pci/protocol/shared_page.hpp"

/// Errors that PCI Express functions report (AER), and how a guest recovers from them. Source: spec section 8; the
/// order of the steps is that of Linux's Documentation/PCI/pci-error-recovery.rst.
namespace pci {

/// Source: PCI Express Base 5.0 section 6.2.2.
enum class error_severity : std::uint8_t {
  corrected, ///< by the hardware: nothing was lost
  nonfatal,  ///< a transaction is lost, the link is sound
  fatal,     ///< the link is not: dom0's kernel resets the bus
};
[[nodiscard]] std::string_view to_string(error_severity severity);

/// What the host has said of one function since somebody last asked. Of a bridge too: errors of the link below it are
/// the bridge's.
struct error_tally {
  sbdf address;
  std::uint64_t corrected = 0;
  std::uint64_t nonfatal = 0;
  std::uint64_t fatal = 0;
  /// The kernel has ended its own recovery of what is below the address, with or without success: what it resets is
  /// reset.
  bool host_ended = false;
  std::string last; ///< the last error's status, decoded: "Poisoned TLP"; empty when unknown

  [[nodiscard]] bool uncorrected() const { return nonfatal != 0 || fatal != 0; }
  /// Adds one error, or many from another tally of the same address.
  void add(error_severity severity, std::string_view status);
  void add(const error_tally& more);
  friend bool operator==(const error_tally&, const error_tally&) = default;
};

/// `err` of a request in the page's second half: Linux's pci_channel_state_t.
enum class channel_state : std::int32_t {
  normal = 1,       ///< the function can be reached
  frozen = 2,       ///< it cannot: it is being reset
  perm_failure = 3, ///< it is lost; never sent from here
};
[[nodiscard]] std::string_view to_string(channel_state state);

/// `err` of the guest's answer: Linux's pci_ers_result_t.
enum class recovery_result : std::int32_t {
  none = 1,
  can_recover = 2,
  need_reset = 3,
  disconnect = 4,
  recovered = 5,
  no_aer_driver = 6,
};
/// Empty: the guest wrote something else.
[[nodiscard]] std::optional<recovery_result> parse_recovery_result(std::int32_t raw);

/// The backend's end of the shared page's second half: one request at a time, from the backend to the frontend. Does
/// not own the memory. What the guest writes there is read once, and only as an answer.
class aer_page {
public:
  /// `page` points to 4096 bytes, aligned to 4.
  explicit aer_page(void* page);

  /// Writes a request and, behind a fence, sets XEN_PCIB_active. The caller notifies.
  void ask(op_code what, channel_state state, const sbdf& virtual_address);
  /// What the guest answered to `ask`, any number; empty while XEN_PCIB_active is set.
  [[nodiscard]] std::optional<std::int32_t> answer() const;
  /// Whether a request, answered or not, is this one, as far as the guest has not changed it.
  [[nodiscard]] bool holds(op_code what, const sbdf& virtual_address) const;
  /// Takes a request back that is not answered in time, as the kernel's backend does: flag off, `err` NONE.
  void withdraw();

private:
  wire::shared_info* info_;
};

/// Why a recovery failed. For the policy all are alike.
enum class recovery_failure : std::uint8_t {
  no_handler,     ///< the frontend does not claim to handle errors
  no_driver,      ///< the guest's driver for the function has no handlers
  disconnect,     ///< the guest's driver gave the function up
  nonsense,       ///< an answer that has no meaning, or none at this point
  no_answer,      ///< in time
  not_restorable, ///< the hardware does not come back
  relapse,        ///< new errors before the old ones were recovered from, again and again
};
[[nodiscard]] std::string_view to_string(recovery_failure why);

/// What is to be done next in a recovery.
struct recovery_step {
  enum class kind : std::uint8_t {
    none,
    ask,               ///< send `what` with `state`; then `answered` or `timed_out`
    wait_for_host,     ///< until the kernel has ended its reset of the bus: `host_ended` or `timed_out`
    restore,           ///< give the function its configuration and its vectors again; then `restored`
    reset_and_restore, ///< the same after a reset
    recovered,
    failed, ///< because of `why`: the policy decides
  };
  kind what = kind::none;
  op_code request = op_code::aer_detected;
  channel_state state = channel_state::normal;
  recovery_failure why = recovery_failure::no_handler;
  friend bool operator==(const recovery_step&, const recovery_step&) = default;
};

/// The recovery of one function of one guest. Pure: its owner does each step and says how it went. After `recovered`
/// and `failed` it is idle, and ready for the next error. What does not belong to the state is ignored.
class recovery {
public:
  enum class state : std::uint8_t {
    idle,
    detected,   ///< the guest has been told of the error
    settling,   ///< the guest has let go; the kernel has not ended its reset yet
    restoring,  ///< the function is being reset or restored
    checking,   ///< the guest's driver looks at the function: mmio_enabled
    slot_reset, ///< the guest's driver starts the function again
    resuming,
  };
  /// What the guest is capable of when an error is detected.
  struct guest {
    bool connected = false;   ///< there is a shared page
    bool has_handler = false; ///< XEN_PCIB_AERHANDLER
    bool in_use = true;       ///< a driver of the guest's has the function
  };
  /// Errors in the middle of a recovery start it over, so many times.
  static constexpr unsigned restarts = 3;

  [[nodiscard]] state current() const { return state_; }
  /// After a fatal error, until the function is restored: the kernel resets its bus, or has, and nothing that is read
  /// of it can be relied on.
  [[nodiscard]] bool is_cut_off() const;
  /// An error: `normal` for one that left the link sound, `frozen` when the kernel resets the bus.
  [[nodiscard]] recovery_step error(channel_state how, guest who);
  [[nodiscard]] recovery_step host_ended();
  [[nodiscard]] recovery_step answered(std::int32_t raw);
  [[nodiscard]] recovery_step timed_out();
  [[nodiscard]] recovery_step restored(bool succeeded);
  /// The guest's frontend is gone, the function still its own: it is put in order for the next driver.
  [[nodiscard]] recovery_step disconnected();

  /// All of it in `saved_bits` bits, for a daemon that goes on where this one ended; 0: idle.
  static constexpr unsigned saved_bits = 16;
  [[nodiscard]] std::uint32_t saved() const;
  /// From `saved`. Empty: no recovery has that number.
  [[nodiscard]] static std::optional<recovery> from(std::uint32_t saved);
  /// The step that is under way, to be done once more: a reset and a restoration have the same end however often they
  /// are done, and what the guest is asked depends on what it has been asked already.
  [[nodiscard]] recovery_step repeated() const;

private:
  /// What follows when the function is restored.
  enum class next : std::uint8_t { finish, check, slot_reset, resume };

  [[nodiscard]] bool asking() const;
  [[nodiscard]] recovery_step question() const;
  [[nodiscard]] bool covers(channel_state how) const;
  recovery_step begin(channel_state how, guest who);
  recovery_step start_over();
  recovery_step ask(state asking);
  [[nodiscard]] bool nobody_has_it(recovery_result answer) const;
  recovery_step restore_then(next then);
  recovery_step proceed();
  recovery_step after_detected(recovery_result result);
  recovery_step after_checking(recovery_result result);
  recovery_step end(recovery_step::kind how, recovery_failure why = recovery_failure::no_handler);

  state state_ = state::idle;
  channel_state channel_ = channel_state::normal;
  guest guest_;
  bool host_ended_ = false;
  next next_ = next::finish;
  std::optional<channel_state> again_; ///< a later error, which this recovery does not cover
  bool again_ended_ = false;           ///< host_ended for that one
  unsigned restarts_ = 0;
};

} // namespace pci
