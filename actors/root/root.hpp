#pragma once

#include <map>
#include <memory>
#include <set>

#include <caf/response_promise.hpp>

#include "actors/environment.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// The state of the root actor: who holds which function, who serves which guest; it starts them all and sees them end.
class root_state {
public:
  static inline const char* name = "root";
  using self_pointer = messages::root_actor::stateful_pointer<root_state>;

  explicit root_state(self_pointer self) : self_(self) {}

  void open(environment_ptr all);

  // One function a message of messages::root_actor.
  caf::result<void> hold(const pci::sbdf& address, bool seize);
  caf::result<void> release(const pci::sbdf& address);
  caf::result<pci::sbdf> attach(const messages::domain_name& domain, const pci::sbdf& address);
  caf::result<void> detach(const messages::domain_name& domain, const pci::sbdf& address);
  caf::result<messages::device_actor> find(const pci::sbdf& address) const;
  caf::result<void> acknowledge(const pci::sbdf& address, bool on);
  caf::result<messages::overview> status();
  void changed(messages::domain_id domain);
  void ended();
  void interrupt(const pci::sbdf& address);
  void removed(const pci::sbdf& address);
  void error();
  void stop();

  /// One of the actors that root started ended.
  void down(const caf::down_msg& down);

private:
  struct held {
    messages::device_actor device;
    unsigned restarts = 0; ///< after bugs
  };
  [[nodiscard]] static caf::error not_held(const pci::sbdf& address);
  [[nodiscard]] static caf::error held_already(const pci::sbdf& address);
  [[nodiscard]] bool gone(messages::domain_id domain) const;
  void look_for_remains();
  messages::device_actor start_device(const pci::sbdf& address);
  void hold_now(const pci::sbdf& address, bool seize, caf::response_promise promise);
  void restart_device(const pci::sbdf& address);

  self_pointer self_;
  environment_ptr all_;
  std::map<pci::sbdf, held> devices_;
  std::map<messages::domain_id, messages::domain_actor> domains_;
  std::set<messages::domain_id> unseen_; ///< changed since their actors looked for the last time
  bool stopping_ = false;
};

messages::root_actor::behavior_type root(root_state::self_pointer self, environment_ptr all);

} // namespace actors
