#include <array>

#include <doctest/doctest.h>

#include "two_cards.hpp"

TEST_SUITE_BEGIN("deterministic");

namespace {

class counting_service final : public actors::port_service {
public:
  explicit counting_service(bool can) : can_(can) {}
  bool serve() override {
    ++calls;
    return can_;
  }
  int calls = 0;

private:
  bool can_;
};

} // namespace

TEST_CASE_FIXTURE(
    test::two_cards,
    "within the host's brackets a port's service is called when they close, and the actor only when it must") {
  int kicks = 0;
  auto actor = system.spawn(
      [](messages::domain_actor::pointer, int* count) -> messages::domain_actor::behavior_type {
        return {
            [count](messages::kick_atom) { ++*count; },
            [](messages::unmask_atom, std::uint64_t) {},
            [](messages::changed_atom) {},
            [](messages::wait_atom, std::uint64_t) {},
            [](messages::ended_atom) {},
            [](messages::removed_atom, const pci::sbdf&) {},
            [](messages::error_atom, const messages::function_error&) {},
            [](messages::recover_atom, std::uint64_t) {},
            [](messages::operate_atom, std::uint64_t) {},
            [](messages::status_atom) { return messages::domain_status{}; },
            [](messages::stop_atom) {},
        };
      },
      &kicks);
  events.use(system);
  auto able = std::make_shared<counting_service>(true);
  auto unable = std::make_shared<counting_service>(false);
  events.route_port(901, actor, able);
  events.route_port(902, actor, unable);

  events.events_begin();
  events.port_fired(901);
  events.port_fired(902);
  CHECK(able->calls == 0); // the host may not be called yet
  events.events_end();
  run();
  CHECK(able->calls == 1);
  CHECK(unable->calls == 1);
  CHECK(kicks == 1);

  events.port_fired(901); // a host without brackets
  run();
  CHECK(able->calls == 1);
  CHECK(kicks == 2);
  events.unroute_port(901);
  events.unroute_port(902);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

namespace {

class counting_line final : public actors::line_service {
public:
  bool interrupt() override {
    ++calls;
    return calls > 1;
  }
  int calls = 0;
};

struct device_messages {
  int looks = 0, interrupts = 0;
};

messages::device_actor::behavior_type recording_device(messages::device_actor::pointer, device_messages* seen) {
  return {
      [](messages::hold_atom, bool) {},
      [](messages::grant_atom, messages::domain_id) {},
      [](messages::grant_atom, messages::domain_id, const messages::attach_options& how) { return how; },
      [](messages::revoke_atom, messages::domain_id) {},
      [](messages::lease_atom, const messages::lease_request&) { return messages::lease{}; },
      [](messages::place_atom, const messages::lease&, const pci::sbdf&) {},
      [](messages::return_atom, const messages::lease&) {},
      [](messages::renew_atom, const messages::lease&) {},
      [](messages::operate_atom, const messages::lease&, const pci::request&) { return pci::answer{}; },
      [](messages::ended_atom, messages::domain_id) {},
      [seen](messages::interrupt_atom) { ++seen->interrupts; },
      [seen](messages::line_atom, std::uint64_t number) { seen->looks += number == 0 ? 1 : 0; },
      [](messages::acknowledge_atom, bool) {},
      [](messages::waits_atom) {},
      [](messages::waits_atom, std::uint64_t) {},
      [](messages::unbound_atom, bool) {},
      [](messages::removed_atom) {},
      [](messages::leave_atom) {},
      [](messages::error_atom, const pci::error_tally&) {},
      [](messages::recover_atom, const messages::lease&, bool) {},
      [](messages::recovered_atom, const messages::lease&, bool) {},
      [](messages::status_atom) { return messages::function_status{}; },
      [](messages::policy_atom, const pci::policy_change&) {},
      [](messages::registers_atom) { return messages::register_account{}; },
      [](messages::release_atom) {},
      [](messages::release_atom, bool) {},
      [](messages::retry_atom) {},
      [](messages::wait_atom) {},
      [](messages::again_atom, std::uint64_t) {},
      [](messages::quiet_atom) {},
      [](messages::inherit_atom, messages::domain_id) {},
      [](messages::note_atom) {},
      [](messages::stop_atom) {},
  };
}

} // namespace

TEST_CASE_FIXTURE(
    test::two_cards,
    "interrupts that come with leave to call the host go to the line's service, and the actor only looks") {
  device_messages seen;
  auto actor = system.spawn(recording_device, &seen);
  auto service = std::make_shared<counting_line>();
  events.route_line(test::nic, actor, service);
  const std::array both{test::nic, test::disk}; // nobody has the disk
  events.line_interrupts(both);
  run();
  CHECK(service->calls == 1);
  CHECK(seen.looks == 0);
  events.line_interrupts(both);
  run();
  CHECK(service->calls == 2);
  CHECK(seen.looks == 1);
  CHECK(seen.interrupts == 0);
  events.unroute_line(test::nic);
  events.line_interrupts(both);
  run();
  CHECK(service->calls == 2);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

TEST_SUITE_END();
