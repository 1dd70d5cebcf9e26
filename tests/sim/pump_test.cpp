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

TEST_SUITE_END();
