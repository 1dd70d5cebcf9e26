// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <caf/response_promise.hpp>

#include "actors/device/hardware.hpp"
#include "actors/device/line.hpp"
#include "actors/device/serving.hpp"
#include "actors/environment.hpp"
#include "actors/jobs.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"
#include "pci/lease_policy.hpp"
#include "pci/protocol/function_life.hpp"

namespace actors {

/// Who works for a device actor. All outlive it.
struct device_services {
  messages::worker_actor worker;         ///< of its function; see function_worker
  messages::line_clock_actor line_clock; ///< of all functions
};

/// The state of a device actor: what is done in the life of one held function, and who waits for it. What may happen in
/// that life, and when, pci::function_life says.
class device_state {
public:
  static inline const char* name = "device";
  using self_pointer = watched_pointer<messages::device_actor, device_state>;

  explicit device_state(self_pointer self) : self_(self) {}
  ~device_state();
  device_state(const device_state&) = delete;
  device_state& operator=(const device_state&) = delete;

  void open(environment_ptr all, const pci::sbdf& address, const settings::device& wanted, device_services with);

  // One function a message of messages::device_actor.
  caf::result<void> hold(bool seize);
  caf::response_promise grant(messages::domain_id domain, std::optional<messages::attach_options> how);
  caf::result<void> revoke(messages::domain_id domain);
  caf::result<messages::lease> lease(const messages::lease_request& request);
  void place(messages::lease lease, const pci::sbdf& virtual_address);
  caf::result<void> return_lease(messages::lease lease);
  caf::result<void> renew(messages::lease lease);
  void unmapped();
  void ended(messages::domain_id domain);
  void look_at_line();
  void planned_look(std::uint64_t number);
  caf::result<void> acknowledge(bool on);
  void removal_waits();
  void guest_time_over(std::uint64_t lease);
  void unbound(bool some_time_ago);
  void removed();
  void leave();
  void error(const pci::error_tally& what);
  caf::result<void> recover(messages::lease lease, bool reset);
  void recovered(messages::lease lease, bool succeeded);
  void resumed();
  [[nodiscard]] messages::function_status status() const;
  [[nodiscard]] messages::function_owner owner() const { return {state(), domain_}; }
  caf::result<void> release(bool probe);
  caf::result<void> change_policy(const pci::policy_change& change);
  caf::result<messages::register_account> registers() const;
  caf::result<messages::config_account> config();
  void reload(const pci::policy& policy, bool keep);
  caf::result<void> retry();
  void look_at_pirqs();
  void inherit(messages::domain_id domain);
  void note_again();
  void note_later();
  void stop();
  void again(std::uint64_t number);
  void reset_group_quiet();

  /// The domain actor that had the lease is gone.
  void holder_down(const caf::actor_addr& holder);

private:
  using action = std::function<void()>;
  using phase = pci::function_life::phase;
  using event = pci::function_life::event;
  using effect = pci::function_life::effect;
  using effects = pci::function_life::effects;
  struct scrub_progress {
    pci::scrub where;
    std::string detail;               ///< the first step that failed and why
    std::string waits;                ///< for what a device model still has; empty: it does not
    std::string waiting;              ///< for what it waits that others of its reset group have; empty: for nothing
    std::vector<pci::sbdf> waits_for; ///< functions that share the reset with this one, and are in use
  };
  /// What the journal was last told: by this actor, and by the thread that serves the guest when its interrupts change.
  struct last_record {
    std::mutex mutex; ///< taken after the serving's of the hardware
    function_record last;
  };

  struct past_guest {
    messages::domain_id domain;
    std::string name; ///< empty: not known yet
  };

  // the function's life: life.cpp
  /// Does what the event calls for; `begin` is what came with it: what was asked for, or what waited.
  effects apply(event what, const action& begin = {});
  void perform(effect what, const action& begin);
  /// Shows what phase the function is in, and tells of what that means to an administrator: telling.cpp
  void tell(phase before);
  void tell(happening what, std::string detail = {}) const;
  [[nodiscard]] bool may(event wish) const { return life_.answer(wish).contains(effect::begin); }
  [[nodiscard]] messages::function_state state() const { return messages::state_of(life_.now()); }
  [[nodiscard]] bool is(phase which) const { return life_.now() == which; }
  void when_settled(event what, std::string_view wish, caf::response_promise promise, action then);
  void settled();
  void forget();

  // pages that it shares: pages.cpp
  void take_pages(const users::guest& whose, caf::response_promise promise, action then);
  void leave_pages(messages::domain_id domain);
  void refuse_page(const users::user& other, caf::response_promise promise);
  [[nodiscard]] std::optional<pci::failure> reached_by_guests() const;
  void describe_sharing(messages::function_status& status) const;

  // who had it before: last_guests.cpp
  [[nodiscard]] std::vector<past_guest> living_guests() const;
  [[nodiscard]] std::string tell_of_last_guests() const;
  [[nodiscard]] static std::string called(const past_guest& guest);
  [[nodiscard]] std::optional<pci::failure> reserved(std::string_view wish,
                                                     std::optional<messages::domain_id> whom) const;
  void remember_guests(const std::vector<messages::domain_id>& guests);
  void guest_is_past();
  void ask_name(messages::domain_id domain);

  [[nodiscard]] pci::failure refusal(std::string_view wish) const;
  void grant_now(messages::domain_id domain, std::optional<messages::attach_options> how,
                 caf::response_promise promise);
  void grant_pages(messages::domain_id domain, std::optional<messages::attach_options> how,
                   caf::response_promise promise);
  void granted(const pci::result<void>& done, std::optional<messages::attach_options> how,
               caf::response_promise promise);
  void lease_now(const messages::lease_request& request, caf::actor_addr holder, caf::response_promise promise);
  void lease_pages(const messages::lease_request& request, caf::actor_addr holder, caf::response_promise promise);
  void lease_ready(const messages::lease_request& request, const caf::actor_addr& holder,
                   caf::response_promise promise);
  void hand_out(const caf::actor_addr& holder, caf::response_promise promise);
  void serve(const messages::lease_request& request, const caf::actor_addr& holder, caf::response_promise promise);
  [[nodiscard]] bool may_lease(messages::domain_id domain) const;
  void forget_wish();
  void end_serving();
  void renew_now();
  void plan_look(std::optional<platform::clock::duration> when);
  void rebind(platform::holder wanted);
  void describe_policy(messages::function_status& status) const;
  [[nodiscard]] pci::refused_writes refused_writes() const { return serving_ ? serving_->refused_writes() : refused_; }

  /// While nobody has it.
  [[nodiscard]] bool may_rest() const { return policy_.in_force().power == pci::power_policy::automatic && !waiting_; }
  [[nodiscard]] bool use(action again);
  void refuse(caf::response_promise promise, const pci::failure& why);
  void release_now(bool probe, caf::response_promise promise);
  void withdraw(bool probe, caf::response_promise promise);
  void withdrawn(const pci::result<void>& taken, bool probe, caf::response_promise promise);
  void give_back(bool probe, caf::response_promise promise);
  struct give_back_outcome {
    std::optional<messages::domain_id> claimant = std::nullopt; ///< whom a toolstack gives it at this moment
    std::optional<pci::failure> why = std::nullopt;             ///< empty: dom0 has it
    bool kept = false;                                          ///< its holder has it still
  };
  void given_back(const give_back_outcome& done, caf::response_promise promise);
  void take(bool seize);
  void not_taken(const pci::failure& why);
  /// Writes what the next instance has to know, before anybody relies on it. Tried again by itself when it fails.
  /// `granting`: and that it is about to be granted.
  pci::result<void> note(bool granting = false);
  void plan_note(platform::clock::duration delay);
  [[nodiscard]] serving::listeners note_changes();
  [[nodiscard]] pci::failure not_noted(std::string_view wish, const pci::failure& why) const;

  // a guest of an earlier instance: inheritance.cpp
  void look_after();
  void look_after_again();
  void looked_after(pci::result<std::shared_ptr<hardware>> found);
  void adopt(const messages::lease_request& request, const caf::actor_addr& holder, caf::response_promise promise);
  void take_over(const messages::lease_request& request, const caf::actor_addr& holder, caf::response_promise promise);
  void end_inheritance();
  [[nodiscard]] const std::shared_ptr<hardware>& in_use() const { return living_ ? living_ : hardware_; }

  // taking back and cleaning: scrubbing.cpp
  void take_back(event why);
  void end_lease();
  void end_guest();
  void let_go();
  void await_page();
  void page_unmapped();
  void finish_scrub();
  [[nodiscard]] bool page_may_be_mapped() const;
  void wait_for_pirqs(const scrub_progress& so_far);
  void await_pirqs();
  void scrubbed(scrub_progress now);
  [[nodiscard]] event what_scrub_came_to();
  void note_clean();
  void note_failed();
  void note_gone();
  void forget_holder();
  void await_retry();
  void await_reset_group();
  void go_on();
  static scrub_progress scrub_until(hardware& device, scrub_progress now, pci::scrub_step end);

  // removals from dom0: removal.cpp
  void go_on_with_removal();
  void await_guest();
  void await_removal_retry();
  void let_removal_go();
  void removal_let_go(const pci::result<void>& done);
  void end_inherited();
  void held_again(const pci::result<bool>& done);
  [[nodiscard]] bool hold_is_lost();
  [[nodiscard]] bool was_removed_meanwhile();
  void lose(event how, std::size_t vectors);
  void pause_guest();
  [[nodiscard]] std::size_t mapped_vectors(bool job_over = false) const;
  [[nodiscard]] messages::domain_id guest_of_vectors() const;

  // errors: device_errors.cpp
  void note_errors(const pci::error_tally& what);
  void tell_holder(const messages::function_error& what);
  void recover_unleased();
  pci::result<void> restore_now();
  void reset_done(std::uint64_t lease, const pci::result<void>& done, caf::response_promise promise);
  [[nodiscard]] pci::result<void> restored_after(std::uint64_t lease, const pci::result<void>& reset);

  /// Runs `work` on the hardware, after every job that was begun earlier for this function.
  template <class T, class Work, class Done>
  void on_hardware(Work work, Done done) {
    run_on<T>(with_.worker, self_, std::move(work), std::move(done));
  }
  /// Likewise, for a wish that has to wait for that: `then` looks at the wish again, whatever has come to be meanwhile.
  template <class T, class Work, class Then>
  void prepare(Work work, Then then) {
    apply(event::prepare, [this, work = std::move(work), then = std::move(then)] {
      on_hardware<T>(
          work, [this, then](const pci::result<T>& done) { apply(event::prepared, [then, &done] { then(done); }); });
    });
  }

  self_pointer self_;
  environment_ptr all_;
  device_services with_;
  pci::sbdf address_;
  pci::lease_policy policy_;
  std::shared_ptr<hardware> hardware_;
  bool looking_after_ = false;               ///< a job makes what stands in `living_` then
  bool not_looked_after_ = false;            ///< it has failed
  std::optional<function_record> inherited_; ///< while a guest of an earlier instance has the function
  std::shared_ptr<hardware> living_;         ///< what is done for that guest's line goes by it
  pci::function_life life_;
  messages::domain_id stranded_guest_ = 0; ///< whose vectors went with the function
  std::size_t stranded_vectors_ = 0;
  bool noting_ = false; ///< a `note_again` is on its way
  std::string detail_;
  scrub_progress scrub_;                         ///< while scrubbing
  unsigned tries_ = 0;                           ///< that have failed
  std::uint64_t pauses_ = 0;                     ///< counted, so that a timer of an earlier one is known
  platform::clock::duration look_at_pirqs_in_{}; ///< how long until the next look at that
  std::optional<messages::domain_id> domain_;
  std::optional<messages::domain_id> target_; ///< of the lease, and of the scrub after it; see lease_request
  std::string guest_;
  std::vector<past_guest> past_guests_; ///< which may still have the function's memory mapped, while they run
  std::optional<pci::sbdf> virtual_address_;
  caf::actor_addr holder_;
  messages::lease lease_;
  std::shared_ptr<line> line_;            ///< the function's INTx
  std::uint64_t line_look_ = 0;           ///< the number of the next planned look at it
  action waiting_;                        ///< a grant or a lease that came while the function was not settled
  caf::response_promise waiting_promise_; ///< who waits for that
  std::vector<caf::response_promise> until_settled_; ///< hold and revoke
  std::vector<caf::response_promise> until_rebound_; ///< acknowledge
  std::shared_ptr<serving> serving_;                 ///< while leased
  std::shared_ptr<last_record> noted_ = std::make_shared<last_record>();
  serving::counts counts_;      ///< of earlier leases
  pci::refused_writes refused_; ///< of the last lease
  messages::error_account errors_;
  guest_log error_log_;
  guest_log lease_log_; ///< a guest can take and return its lease as often as it likes
  std::shared_ptr<guest_log> serving_log_ = std::make_shared<guest_log>();
  bool told_of_hold_ = false; ///< that it is held, to who watches
  platform::clock::duration scrub_begun_{};
  std::string_view recovery_; ///< how it stands with the guest's last error; empty: well
  static constexpr std::string_view recovering_words = "its guest is recovering it from an error";
  bool renewed_ = false;              ///< while the function was being reset its guest has begun anew
  caf::response_promise until_quiet_; ///< who returned the lease during a reset for the guest
};

/// `wanted`: what the settings say of the function.
messages::device_actor::behavior_type device(device_state::self_pointer self, environment_ptr all, pci::sbdf address,
                                             settings::device wanted, device_services with);

} // namespace actors
