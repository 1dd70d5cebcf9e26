// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/domain/guest_limits.hpp"
#include "actors/domain/guest_server.hpp"
#include "actors/domain/recovery.hpp"
#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/protocol/xenbus.hpp"

namespace actors {

/// The state of a domain actor: one guest's connection, its virtual topology and its leases.
class domain_state {
public:
  static inline const char* name = "domain";
  using self_pointer = watched_pointer<messages::domain_actor, domain_state>;

  explicit domain_state(self_pointer self) : self_(self) {}
  ~domain_state();
  domain_state(const domain_state&) = delete;
  domain_state& operator=(const domain_state&) = delete;

  void open(environment_ptr all, messages::root_actor root, messages::domain_id domain,
            std::shared_ptr<guest_limits> limits);

  // One function a message of messages::domain_actor.
  void kick();
  void unmapped(std::uint64_t connection_number);
  void changed();
  void waited_out(std::uint64_t wait_number);
  void ended();
  void removed(const pci::sbdf& host);
  void error(const messages::function_error& what);
  void error_waited_out(std::uint64_t timer) { recovery_.waited_out(timer); }
  [[nodiscard]] messages::domain_status status() const;

  /// The actor of a function that this guest has ended.
  void device_down(const caf::actor_addr& device);

private:
  [[nodiscard]] static std::string frontend_token(messages::domain_id domain); ///< of its watch
  struct exported {
    messages::device_actor device;
    messages::lease lease;
    pci::sbdf virtual_address;
  };
  /// The devices of one step: those that come, those that go, and what is written when all of that is done.
  struct batch {
    pci::xenbus_nodes nodes;
    std::vector<pci::device_nodes> arriving;
    std::size_t next = 0;
    std::vector<pci::node_write> writes;
    std::vector<pci::node_write> expected; ///< whose the written indices are
    std::optional<pci::xenbus_state> then; ///< the backend's state afterwards; empty: as it was
    bool all_or_nothing = false;           ///< the first set of devices, as the kernel's backend treats it
    bool refused = false;                  ///< the guest takes none while it runs
    bool adopts = false;                   ///< the guest sees them already, where vdev-N says, and nothing is written
    bool incomplete = false;               ///< one that is adopted was not, for the time being
    bool knows_guest = false;              ///< what kind of guest it is has been asked for this batch
  };
  using batch_ptr = std::shared_ptr<batch>;

  // xenbus
  void look();
  void look_now();
  void looked(const pci::result<pci::xenbus_nodes>& nodes);
  void settle(const pci::xenbus_nodes& nodes);
  void step(pci::xenbus_step what, const pci::xenbus_nodes& nodes);
  void step_done();
  void watch_frontend(const pci::xenbus_nodes& nodes);
  void ask_for_the_domain();
  [[nodiscard]] bool has_started_over(const pci::xenbus_nodes& nodes);
  [[nodiscard]] pci::xenbus_state state_without_hot_plug() const;
  void accept();
  void call_frontend_again();
  void write_and_look(pci::xenbus_state seen, std::vector<pci::node_write> writes,
                      std::vector<pci::node_write> expected = {});
  void written(const pci::result<void>& done);
  void write_state(const pci::xenbus_nodes& nodes, pci::xenbus_state state);
  void fail(const pci::xenbus_nodes& nodes, const pci::failure& why);
  void report(const pci::failure& why);

  // the time that it is given: patience.cpp
  void wait_for_frontend(const pci::xenbus_nodes& nodes);
  void stop_waiting();
  [[nodiscard]] bool grant_more_time();
  [[nodiscard]] std::uint64_t operations() const;

  // devices: exports.cpp
  void export_devices(const pci::xenbus_nodes& nodes, bool again, std::optional<pci::xenbus_state> then,
                      bool all_or_nothing);
  void reconfigure(const pci::xenbus_nodes& nodes, pci::xenbus_state then, bool arrivals);
  void export_next(batch_ptr work);
  void lease_next(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host, messages::device_actor device);
  void give_again(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host, messages::device_actor device,
                  const messages::lease_request& request);
  void request_lease(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host,
                     messages::device_actor device, const messages::lease_request& request);
  void leased(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host, messages::device_actor device,
              messages::lease lease);
  void export_done(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& virtual_address);
  void export_failed(batch_ptr work, const pci::device_nodes& node, const pci::failure& why);
  void settle_places(batch& work);
  void commit(batch_ptr work);
  void return_leases(const std::vector<pci::sbdf>& which, std::function<void()> then);
  exported forget_export(const pci::sbdf& host);
  [[nodiscard]] recovery::function as_recovered(const exported& where, pci::error_policy policy) const;
  [[nodiscard]] std::vector<pci::sbdf> all_exports() const;

  // what an earlier daemon did for the guest: adoption.cpp
  void adopt(const pci::xenbus_nodes& nodes);
  void keep_place(const pci::device_nodes& node);
  void adopted(batch_ptr work);
  void resume_recoveries();
  void connect_again(const pci::xenbus_nodes& nodes);
  [[nodiscard]] bool adopt_rest_later();
  [[nodiscard]] bool is_time_to_adopt_rest();
  [[nodiscard]] pci::result<pci::sbdf> place(const batch& work, const pci::device_nodes& node, const pci::sbdf& host,
                                             const messages::lease& lease);

  /// To who watches.
  void tell(happening what, std::string detail = {}) const;

  // the connection: connecting.cpp
  void start_over(const pci::xenbus_nodes& nodes);
  void pause_before_connecting();
  void renew_functions(std::function<void()> then);
  void connect(const pci::xenbus_nodes& nodes);
  void connect_to(const pci::xenbus_nodes& nodes);
  void open_connection(const pci::xenbus_nodes& nodes, std::function<void()> then);
  [[nodiscard]] pci::result<void> begin_serving(const pci::xenbus_nodes& nodes, std::shared_ptr<connection> opened);
  void not_connected(const pci::xenbus_nodes& nodes, const pci::failure& why);
  void disconnect(std::function<void()> then);
  void drop_connection(std::function<void()> then);
  void tear_down(const pci::xenbus_nodes& nodes);
  /// What this connection and those before it have counted.
  [[nodiscard]] messages::domain_status counted() const;
  void tell_unmapped();
  void forget(pci::xenbus_state seen, const std::vector<pci::sbdf>& functions);

  self_pointer self_;
  environment_ptr all_;
  messages::root_actor root_;
  messages::domain_id domain_ = 0;
  bool looking_ = false;
  bool stepping_ = false;
  bool dirty_ = false;
  bool pausing_ = false; ///< before a look: the pump has told of one change, and keeps the others to itself
  bool watching_ = false;
  bool fresh_ = false; ///< the daemon has yet to look at this guest for the first time
  std::optional<platform::clock::duration> adopt_rest_at_; ///< what could not be taken over at once
  unsigned adoptions_left_ = 5;                            ///< so often
  pci::xenbus_facts facts_;
  pci::xenbus_nodes last_;
  std::optional<pci::xenbus_state> waiting_in_;         ///< own state, which the frontend is given its time to answer
  std::uint64_t wait_number_ = 1;                       ///< of that wait; 0 is no wait but a pause
  pci::xenbus_state waited_frontend_{};                 ///< its state when the wait began
  std::uint64_t waited_operations_ = 0;                 ///< likewise what it had asked for
  bool more_time_ = false;                              ///< it moves, and has been given more time
  std::optional<platform::clock::duration> plug_begun_; ///< when own state became 7
  bool silent_ = false; ///< it was waited for in vain, and its state has not changed since

  pci::topology topology_{pci::topology_mode::vpci};
  std::map<pci::sbdf, exported> exports_;
  std::map<pci::sbdf, messages::device_actor> returned_; ///< to be told when the page of a dying guest is unmapped
  std::string guest_;                                    ///< in words; empty: not known yet
  std::optional<messages::domain_id> target_;            ///< whose device model uses them; see guest_kind

  std::shared_ptr<connection> connection_;
  std::optional<std::uint32_t> connected_reference_; ///< what the connected frontend has published
  std::optional<std::uint32_t> connected_channel_;
  bool came_up_ = false;                 ///< and it has been seen in a state behind 3
  std::shared_ptr<guest_server> server_; ///< of the connection
  std::uint64_t connection_number_ = 0;
  std::optional<std::uint64_t> unmapping_; ///< the last connection, whose page its server has still mapped
  std::function<void()> when_unmapped_;    ///< what waits for that
  recovery recovery_;
  messages::domain_status counters_;
  std::shared_ptr<guest_limits> limits_;
};

messages::domain_actor::behavior_type domain(domain_state::self_pointer self, environment_ptr all,
                                             messages::root_actor root, messages::domain_id id,
                                             std::shared_ptr<guest_limits> limits);

} // namespace actors
