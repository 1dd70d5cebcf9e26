// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "actors/domain/connection.hpp"
#include "actors/domain/guest_limits.hpp"
#include "actors/environment.hpp"
#include "messages/interfaces.hpp"
#include "pci/protocol/aer.hpp"

namespace actors {

/// How a guest's functions recover from errors (spec 8): drives a pci::recovery for each, sends the requests over the
/// page one at a time, for it has room for one, and does what the policy says when a guest does not recover. Part of a
/// domain actor; waits for nothing, so that all else goes on meanwhile.
class recovery {
public:
  /// A function that the guest has.
  struct function {
    messages::device_actor device;
    messages::lease lease;
    pci::sbdf virtual_address;
    pci::error_policy policy = pci::error_policy::kill; ///< for a guest that does not recover it
    std::optional<messages::domain_id> target = {};     ///< whose device model uses it: nobody there can be asked
  };
  /// Ends the lease of a function, whatever the guest says.
  using taker = std::function<void(const pci::sbdf& host)>;

  /// Before all else.
  void open(messages::domain_actor::pointer self, environment_ptr all, messages::root_actor root,
            messages::domain_id domain, std::shared_ptr<guest_limits> limits, taker take);
  void connected(std::shared_ptr<connection> guest);
  void disconnected();
  void error(const messages::function_error& what, const function& where);
  /// A recovery that an earlier daemon had begun, of a guest that is connected: it goes on.
  void resume(const saved_recovery& what, const function& where);
  /// A recovery that an earlier daemon had begun, of a frontend that is not there any more: nobody is asked, and a
  /// function that was reset under it is restored.
  void end(const saved_recovery& what, const function& where);
  /// The guest has the function no more.
  void forget(const pci::sbdf& host);
  /// Takes the guest's answer. False: there is none.
  bool take_answer();
  /// The time that `timer` stands for is over.
  void waited_out(std::uint64_t timer);

private:
  struct ongoing {
    function where;
    pci::recovery machine;
    pci::recovery_step request;         ///< waits for its turn with the page, or is in it
    std::optional<std::uint64_t> timer; ///< the current one; empty: none runs
    guest_row row;                      ///< where the next daemon finds it
  };

  void advance(const pci::sbdf& host, const pci::recovery_step& step);
  void save(const pci::sbdf& host);
  void ask(const pci::sbdf& host, const pci::recovery_step& step);
  void ask_next();
  void restore(const pci::sbdf& host, bool reset);
  void start_timer(ongoing& whose, std::chrono::milliseconds time);
  void finish(const pci::sbdf& host, std::optional<pci::recovery_failure> why);
  void tell(const messages::function_error& what, const function& where);
  void punish(const pci::sbdf& host, pci::error_policy policy, pci::recovery_failure why);
  void kill(const pci::sbdf& host, messages::domain_id whom);
  void detach(const pci::sbdf& host);

  messages::domain_actor::pointer self_ = nullptr;
  environment_ptr all_;
  messages::root_actor root_;
  messages::domain_id domain_ = 0;
  std::shared_ptr<guest_limits> limits_;
  taker take_;
  std::shared_ptr<connection> guest_; ///< null: not connected
  std::map<pci::sbdf, ongoing> recoveries_;
  std::deque<pci::sbdf> waiting_;   ///< for the page
  std::optional<pci::sbdf> asking_; ///< whose request is in the page
  std::set<pci::sbdf> ending_;      ///< for which the guest is being stopped, or which are being taken from it
  std::uint64_t timers_ = 0;
};

} // namespace actors
