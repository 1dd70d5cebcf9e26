// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include <doctest/doctest.h>

#include "two_cards.hpp"

TEST_SUITE_BEGIN("deterministic");

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
  int looks = 0;
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
      [](messages::unmapped_atom) {},
      [](messages::ended_atom, messages::domain_id) {},
      [seen](messages::line_atom) { ++seen->looks; },
      [](messages::look_atom, std::uint64_t) {},
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
      [](messages::owner_atom) { return messages::function_owner{}; },
      [](messages::policy_atom, const pci::policy_change&) {},
      [](messages::registers_atom) { return messages::register_account{}; },
      [](messages::config_atom) { return messages::config_account{}; },
      [](messages::reload_atom, const pci::policy&, bool) {},
      [](messages::release_atom, bool) {},
      [](messages::retry_atom) {},
      [](messages::wait_atom) {},
      [](messages::again_atom, std::uint64_t) {},
      [](messages::quiet_atom) {},
      [](messages::resumed_atom) {},
      [](messages::inherit_atom, messages::domain_id) {},
      [](messages::note_atom, bool) {},
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
  events.unroute_line(test::nic);
  events.line_interrupts(both);
  run();
  CHECK(service->calls == 2);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

TEST_SUITE_END();
