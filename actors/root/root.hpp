// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <caf/response_promise.hpp>

#include "actors/domain/guest_limits.hpp"
#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "actors/root/assignments.hpp"
#include "actors/root/hiding.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// The state of the root actor: who holds which function, who serves which guest; it starts them all and sees them end.
class root_state {
public:
  static inline const char* name = "root";
  using self_pointer = watched_pointer<messages::root_actor, root_state>;

  explicit root_state(self_pointer self) : self_(self) {}
  ~root_state();
  root_state(const root_state&) = delete;
  root_state& operator=(const root_state&) = delete;

  void open(environment_ptr all);

  // One function a message of messages::root_actor.
  caf::result<void> restore();
  caf::result<void> hold(const pci::sbdf& address, bool seize);
  caf::result<void> release(const pci::sbdf& address, bool probe);
  caf::result<pci::sbdf> attach(messages::domain_id domain, const pci::sbdf& address,
                                const messages::attach_options& how);
  caf::result<void> detach(messages::domain_id domain, const pci::sbdf& address);
  caf::result<void> drain(const pci::sbdf& address);
  caf::result<void> drain(messages::domain_id domain);
  caf::result<messages::device_actor> find(const pci::sbdf& address) const;
  caf::result<messages::domain_id> find(const messages::domain_name& domain);
  caf::result<messages::overview> status();
  caf::result<messages::overview> list();
  caf::result<messages::explanation> explain(const pci::sbdf& address);
  caf::result<messages::explanation> explain(const messages::domain_name& domain);
  void changed(messages::domain_id domain);
  void reread();
  void ended();
  void removed(const pci::sbdf& address);
  void added(const pci::sbdf& address);
  void unbound(const pci::sbdf& address);
  void waits(const pci::sbdf& address);
  void introduced();
  void error();
  void resumed();
  void adopt();
  void reload();
  void stop();

  /// One of the actors that root started ended.
  void down(const caf::down_msg& down);

private:
  struct held {
    messages::device_actor device;
    settings::device wanted;                    ///< what the settings say of it
    std::optional<pci::sbdf> physical_function; ///< whose virtual function it is
    unsigned restarts = 0;                      ///< after bugs
    bool removed = false;                       ///< from the host; the actor has not ended yet
    bool withdrawing = false;                   ///< its guest is being asked to let go of it
    bool withdrawn = false;                     ///< it was removed, and no guest has it any more
  };
  /// A function of an earlier instance's, and what is known of it now.
  struct remembered {
    function_record record;
    admission what;
    std::optional<messages::domain_id> guest; ///< whose it is now; it lives
    bool unannounced = false;                 ///< it was granted, and the guest has not been told of it
  };
  /// What is to be known before a function is held.
  struct claim {
    pci::result<void> unclaimed;              ///< or why not
    std::optional<messages::domain_id> guest; ///< that has it from an earlier instance of the daemon
  };
  using hold_done = std::function<void(const pci::result<void>&)>;
  [[nodiscard]] caf::error not_held(const pci::sbdf& address) const;
  [[nodiscard]] static pci::failure held_already(const pci::sbdf& address);
  /// Guests that have a backend directory and that nobody serves.
  struct unserved {
    std::function<bool(messages::domain_id)> which; ///< are to be served
    std::function<void()> failed;                   ///< xenstored did not answer; empty: nothing is done then
    std::function<void(platform::store&)> first;    ///< done before, by the store's thread; empty: nothing is
  };
  void serve_more(const unserved& guests);
  void look_for_remains();
  void stop_devices();
  [[nodiscard]] static pci::result<std::vector<remembered>> recall(const environment& all);
  [[nodiscard]] static std::optional<messages::domain_id> living_guest(const environment& all,
                                                                       const pci::sbdf& address);
  [[nodiscard]] static bool is_unannounced(const environment& all, const function_record& record);
  [[nodiscard]] static std::optional<messages::domain_id> guest_of(const environment& all,
                                                                   const function_record& record);
  [[nodiscard]] static claim look_for_claims(const environment& all, const pci::sbdf& address);
  void inherit(const pci::sbdf& address, const settings::device& wanted, messages::domain_id domain,
               std::optional<pci::sbdf> physical_function);
  static void release_guards(const environment& all, const std::vector<remembered>& known);
  void restore(const remembered& each, std::shared_ptr<caf::response_promise> last);
  void restore_unused(const admission& what, std::shared_ptr<caf::response_promise> last);
  messages::device_actor start_device(const pci::sbdf& address, const settings::device& wanted);
  void restart_device(const pci::sbdf& address);

  // Taking functions from dom0 and giving them back (root/functions.cpp), also when they come and go by themselves
  // (root/hot_plug.cpp).
  /// `known`: what a look at it before has come to; empty: nobody has looked.
  void begin_hold(const pci::sbdf& address, bool seize, const std::optional<pci::result<admission>>& known,
                  const hold_done& done);
  void admitted(const pci::sbdf& address, bool seize, const pci::result<admission>& what, const hold_done& done);
  void hold_now(const pci::sbdf& address, bool seize, const admission& what, const hold_done& done);
  void refuse(const admission& what);
  [[nodiscard]] std::optional<pci::sbdf> held_virtual_function_of(const pci::sbdf& address) const;
  void note_previous_driver(const pci::sbdf& address, bool held);
  void hide(const pci::sbdf& address);
  void withdraw(const pci::sbdf& address, std::function<void()> then);
  void release_unused(const pci::sbdf& address);
  void withdraw_and_leave(const pci::sbdf& address);
  void leave(const pci::sbdf& address);
  void assign(const std::vector<guest>& guests);

  // Other settings (root/reloading.cpp).
  void tell_policies();
  void hold_more(const live_settings::pointer& before);
  void assign_more(const live_settings::pointer& before);

  self_pointer self_;
  environment_ptr all_;
  std::map<pci::sbdf, messages::worker_actor> workers_; ///< of all functions that were ever held
  messages::line_clock_actor line_clock_;
  live_settings::pointer settled_; ///< by which functions are held and assigned
  std::map<pci::sbdf, held> devices_;
  std::map<pci::sbdf, messages::function_status> refused_; ///< those that must not be held
  std::set<pci::sbdf> returning_; ///< which came again before the actors of those before them ended
  std::map<messages::domain_id, messages::domain_actor> domains_;
  std::map<messages::domain_id, std::shared_ptr<guest_limits>> limits_; ///< until the guest is gone
  std::set<messages::domain_id> unseen_;    ///< changed since their actors looked for the last time
  std::set<messages::domain_id> assigned_;  ///< guests that have been looked after
  std::set<messages::domain_id> inherited_; ///< guests that have functions from an earlier instance of the daemon
  bool adopting_ = false;                   ///< they are to be served as soon as they are known
  bool restored_ = false;                   ///< what the journal knew has been taken up
  bool stopping_ = false;
  messages::root_actor until_stopped_; ///< itself, while it stops: who told it to need not know it any more
};

messages::root_actor::behavior_type root(root_state::self_pointer self, environment_ptr all);

} // namespace actors
