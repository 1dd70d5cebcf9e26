// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "actors/device/reset_memory.hpp"
#include "actors/environment.hpp"
#include "actors/guest_log.hpp"
#include "messages/types.hpp"
#include "pci/config_space/space.hpp"
#include "pci/interrupts/message_interrupts.hpp"
#include "pci/protocol/scrub.hpp"
#include "platform/host.hpp"

namespace actors {

/// A held function's hardware and what the daemon knows of it: the steps that a device actor takes, without the actor.
/// Not thread-safe: the device actor uses it while a guest has the function, a job while nobody has.
class hardware {
public:
  /// Takes the function from dom0: bound to a holder, described, MSI-X prepared. Not yet clean: a scrub comes next.
  /// What the journal has of it is taken over, so that the scrub ends what an earlier instance had given to a guest.
  /// Blocks.
  [[nodiscard]] static pci::result<std::shared_ptr<hardware>> take(const environment& all, const pci::sbdf& address,
                                                                   const pci::policy& policy, bool seize);
  /// A function that a living guest has from an earlier instance. Nothing of it is touched but what the end of that
  /// instance took from its guest, and its COMMAND for its interrupts. Blocks.
  [[nodiscard]] static pci::result<std::shared_ptr<hardware>>
  look_after(const environment& all, const function_record& before, const pci::policy& policy);
  hardware(const hardware&) = delete;
  hardware& operator=(const hardware&) = delete;

  /// The toolstack's half for a domain: the assignment, then memory, ports and the line. All or nothing. EOPNOTSUPP:
  /// the domain was built without passthrough. EPERM: strict, and the function shares reserved memory. Blocks.
  [[nodiscard]] pci::result<void> grant(messages::domain_id domain, pci::rdm_policy rdm);

  /// Chooses the holder that the line needs (see line_interrupts) and begins a guest's time. `target`: the HVM guest
  /// whose device model uses the function, `domain` itself or a stub domain's. May rebind, so it may block.
  [[nodiscard]] pci::result<void> begin(messages::domain_id domain, std::optional<messages::domain_id> target,
                                        const pci::policy& policy);
  /// True when `begin` would have to bind the function to another holder first.
  [[nodiscard]] bool must_rebind(const users::guest& whose, const pci::policy& policy);
  /// Binds the function to another holder while the guest of `begin` has it; ECANCELED when it has not any more.
  /// Blocks; safe from any thread.
  [[nodiscard]] pci::result<void> rebind(platform::holder wanted, std::uint64_t guest);
  /// Which guest's time it is, counted.
  [[nodiscard]] std::uint64_t guest_number() const { return guest_number_; }

  /// Carries out an operation for the guest of `begin`. Quick.
  [[nodiscard]] pci::answer operate(const pci::request& what);
  /// The guest of `begin` begins anew: no DMA, its vectors unmapped, and nothing left of what it has written into the
  /// virtual registers. Goes on after failures and returns the first. Quick.
  [[nodiscard]] pci::result<void> renew_guest();
  /// Takes another policy under the guest of `begin`.
  void set_policy(const pci::policy& policy);
  [[nodiscard]] const pci::space& view() const { return space_; }
  /// One step of a scrub. `quiesce` and `end_messages` are quick, the others may block. EAGAIN: `await_pirqs` has to be
  /// done again later, before what follows it.
  [[nodiscard]] pci::result<void> perform(pci::scrub_step step);
  /// True when somebody has reset the function under its guest. Quick.
  [[nodiscard]] bool was_reset();
  /// After a reset under a guest: the reference configuration, what the guest has set in COMMAND, and its vectors,
  /// which Xen writes again. EIO: the function does not keep it. Quick.
  [[nodiscard]] pci::result<void> recover();
  /// After a sleep of dom0's with a guest that runs on: the same where the function has lost its configuration, and
  /// else its vectors, of which dom0's kernel knows nothing. Quick.
  [[nodiscard]] pci::result<void> resume();

  /// The guest has the function: its line and its part of a page are in use. Until a scrub has revoked them.
  static void count_use(function_registry& all, messages::domain_id domain, const pci::function& what);

  /// Who may have something of the function that a scrub has to end.
  [[nodiscard]] std::optional<messages::domain_id> last_guest() const { return granted_ ? granted_ : domain_; }
  [[nodiscard]] std::optional<messages::domain_id> target() const { return target_; }

  /// What the journal is to know. Not while a job or a guest's operation uses the hardware.
  [[nodiscard]] function_record record() const;
  /// Brings an earlier record of it up to date with what a guest's time changes; `refresh_command` with what a guest's
  /// write does.
  void refresh(function_record& what) const;
  void refresh_command(function_record& what) const;
  /// The scrub has shown that nothing of the last guest is left. Until then each scrub ends that guest's things.
  void forget_guest();
  /// Ends what Xen still has of the last guest, as a scrub does, so that the function may be given back unclean. The
  /// first failure: it may not. Blocks.
  [[nodiscard]] pci::result<void> take_from_guest();
  /// Gives the function back to dom0, whose drivers are asked to take it with `probe`. Blocks.
  [[nodiscard]] pci::result<void> release(bool probe = true);
  /// After a `release` that failed: binds its holder to it again, unless that has it still. False: somebody else has
  /// it. Blocks.
  [[nodiscard]] bool bind_again();
  /// The same for a function that could not be taken, by what is known of it from when it was held. Blocks.
  [[nodiscard]] static pci::result<void> give_back(platform::host& host, const pci::function& reference, bool probe);

  // What is done with it while nobody has it (hardware_power.cpp).
  /// Sends a function that is clean into D3hot, if it can be there. Blocks for moments.
  void rest();
  /// Out of that again, with its configuration; nothing, when it does not rest. The failure: it does not come back, and
  /// has to be scrubbed. Blocks for moments.
  [[nodiscard]] pci::result<void> wake();
  [[nodiscard]] bool rests() const { return rests_; }
  /// The last `wake` has failed.
  [[nodiscard]] bool stays_asleep() const { return stays_asleep_; }

  // Removals of the function from dom0 (hardware_removal.cpp).
  /// From now on a removal waits, until `disarm_guard` or `let_removal_go`. Blocks.
  void arm_guard();
  /// Nobody has the function any more: a removal need not wait. Blocks.
  void disarm_guard();
  /// The function is about to go: a scrub ends before its reset, and nothing prepares it for MSI-X any more.
  void set_leaving(bool leaving) { leaving_ = leaving; }
  [[nodiscard]] bool leaving() const { return leaving_; }
  /// Lets the removal go on that waits. EBUSY: it must not, for pirqs are mapped. Blocks.
  [[nodiscard]] pci::result<void> let_removal_go();
  /// The same for what a guest has from an earlier instance, of which the record tells. Blocks.
  [[nodiscard]] static pci::result<void> end_inherited(const environment& all, const function_record& what);
  /// The hardware is there.
  [[nodiscard]] bool answers();
  /// Whether a scrub fails when Xen does not prepare MSI-X, or the function is used without.
  void insist_on_msix(bool on) { insists_on_msix_ = on; }
  [[nodiscard]] bool insists_on_msix() const { return insists_on_msix_; }
  /// Binds the function to its holder when no driver has it; false: it is bound. EBUSY: a driver of dom0's has it.
  /// Blocks.
  [[nodiscard]] pci::result<bool> hold_again();

  /// Lets the next interrupt of a shared line through: clears INTX_DISABLE, which the handler in dom0's kernel has set.
  void unmask_intx();

  [[nodiscard]] const pci::function& description() const { return description_; }
  [[nodiscard]] const pci::message_interrupts& interrupts() const { return interrupts_; }
  [[nodiscard]] bool take_dropped_write_warning() { return space_.take_dropped_write_warning(); }
  /// Xen would not prepare it for MSI-X, for this reason: it is used without, until a scrub finds that Xen does.
  [[nodiscard]] const std::optional<pci::failure>& msix_refused() const { return msix_refused_; }
  [[nodiscard]] const pci::line_facts& line() const { return line_; }
  /// What is odd about it; see pci::known_errata.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  void set_notes(std::vector<std::string> notes) { notes_ = std::move(notes); }
  /// Asks the host for them, which takes it some time. Blocks.
  [[nodiscard]] static std::vector<std::string> oddities(platform::host& host, const pci::function& function);
  /// After a reset that failed with EINPROGRESS: the functions that share it and are in use.
  [[nodiscard]] const std::vector<pci::sbdf>& waits_for() const { return waits_for_; }
  /// What an administrator should know of a clean function: that it could not be reset, unless it has been `since`, and
  /// which registers are not as in the reference configuration and do not matter. Empty: nothing.
  [[nodiscard]] std::string note(bool since) const;
  [[nodiscard]] bool has_handler() const { return holder_ == platform::holder::uio; }
  [[nodiscard]] platform::holder holder() const { return holder_; }
  /// What the host's tables say of the line now, and what the function's header says.
  [[nodiscard]] pci::line_facts look_at_line() const;
  /// How many guests have functions on a line, this one included.
  [[nodiscard]] static unsigned guests_on_line(const function_registry& all, const users::guest& whose, unsigned gsi);
  /// The guest of `begin`.
  [[nodiscard]] users::guest whose() const { return guest_of(domain_.value_or(0), target_); }
  [[nodiscard]] static users::guest guest_of(messages::domain_id domain, std::optional<messages::domain_id> target) {
    return target ? users::guest{domain, *target} : users::guest{domain};
  }

private:
  hardware(const environment& all, pci::function description, std::unique_ptr<pci::config_port> port, pci::space space,
           platform::holder holder);
  pci::result<void> bind(platform::holder wanted);
  pci::result<void> set_command(std::uint16_t set, std::uint16_t clear);
  void open_physical_function();
  /// EPERM: with the reserved memory that is the reason.
  pci::result<void> explain(pci::result<void> assigned) const;
  pci::result<void> get_ready(const std::optional<function_record>& before);
  void adopt(const function_record& before);
  pci::result<void> grant_resources(messages::domain_id domain);
  [[nodiscard]] pci::failure explained(const pci::failure& refused, messages::domain_id domain) const;
  void use_for(messages::domain_id domain) { count_use(*registry_, domain, description_); }
  pci::result<void> allow_line(messages::domain_id domain);
  pci::result<void> allow_resources(messages::domain_id domain, bool allow);
  pci::result<void> quiesce();
  pci::result<void> stop_mastering();
  pci::result<void> end_messages();
  pci::result<void> revoke();
  pci::result<void> revoke_from(messages::domain_id domain);
  pci::result<void> withdraw();
  pci::result<void> withdraw_from(messages::domain_id domain);
  pci::result<void> await_pirqs();
  [[nodiscard]] pci::result<bool> has_vectors_in_xen();
  pci::result<void> quarantine();
  pci::result<void> reset();
  pci::result<void> reset_by(const pci::reset_option& option, idle_functions::loan& others);
  bool comes_back();
  pci::result<void> deny_line(messages::domain_id domain);
  pci::result<void> renew_messages();
  pci::result<void> renew_msix();
  void show_msix(const pci::result<void>& prepared);
  pci::result<void> without_guests(const std::function<pci::result<void>()>& work);
  [[nodiscard]] std::map<messages::domain_id, bool> guests_of_table() const;
  [[nodiscard]] std::optional<messages::domain_id> next_guest() const;
  static pci::result<void> permit_table(platform::hypervisor& xen, const pci::function& function,
                                        messages::domain_id domain, bool allow);
  pci::result<void> restore();
  pci::result<void> verify();
  bool guest_decodes_memory();
  pci::result<void> recover_messages();
  void cure_messages(pci::pirq_port& pirqs);

  platform::host& host_;
  std::shared_ptr<function_registry> registry_;
  std::shared_ptr<reset_memory> resets_;
  pci::function description_;
  std::unique_ptr<pci::config_port> port_;
  std::unique_ptr<pci::config_port> physical_port_; ///< a virtual function's memory decode is its physical function's
  pci::space space_;
  pci::message_interrupts interrupts_;
  std::optional<platform::msix_function> msix_;
  std::mutex binding_mutex_; ///< of binding and resetting, which a rebinding job may do beside a scrub's
  std::atomic<platform::holder> holder_;
  std::atomic<bool> leaving_{false};
  std::atomic<bool> rests_{false}; ///< in D3hot
  std::atomic<bool> stays_asleep_{false};
  std::atomic<std::uint64_t> guest_number_{0};
  std::string previous_driver_;
  std::optional<platform::power_settings> power_before_; ///< dom0's
  pci::line_facts line_;
  pci::policy policy_;
  std::optional<messages::domain_id> domain_;
  std::optional<messages::domain_id> granted_;
  std::optional<messages::domain_id> target_; ///< whose device model uses it: not the daemon's pirqs
  bool reached_ = false;                      ///< the last guest may map the function's memory
  std::optional<pci::failure> msix_refused_;  ///< why Xen did not prepare it: it is used without MSI-X
  bool insists_on_msix_ = false;
  std::vector<std::string> notes_;
  guest_log log_;             ///< of what the coming and going of guests causes
  bool wrote_freely_ = false; ///< the last guest could write anywhere in the configuration space
  std::string differences_;
  std::vector<pci::sbdf> waits_for_;
  std::string no_reset_; ///< why the last scrub could not reset it; empty: it has
};

} // namespace actors
