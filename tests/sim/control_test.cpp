// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "actors/control/control.hpp"
#include "messages/errors.hpp"

using namespace std::chrono_literals;

namespace {

/// What the stand-in for root was asked, and what it is to answer.
struct script {
  std::vector<std::string> asked;
  pci::result<void> outcome;
  bool silent = false;
};

std::string words_of(const pci::policy_change& change) {
  const auto flag = [](const char* name, const std::optional<bool>& is) {
    return is ? fmt::format(" {} {}", name, *is) : std::string{};
  };
  return flag("permissive", change.permissive) + flag("interrupt_control", change.interrupt_control) +
         (change.open ? " open " + pci::to_string(*change.open) : "") +
         (change.close ? fmt::format(" close {:x}", *change.close) : "");
}

messages::register_account some_registers(const pci::sbdf& address) {
  messages::register_account account;
  account.address = address;
  account.vendor = 0x8086;
  account.subsystem = 0x1af4;
  account.policy.quirks = {{0xe8, 2, 0xf0}};
  account.fields = {{0, 2}, {0xe8, 2, pci::reading::hardware, pci::writing::hardware, 0xf0}};
  account.refused = 3;
  account.last = {{{0xe8, 2, 0x2830, 0x1001, 3, pci::op_error::success}, "Express+8 (Device Control)"}};
  account.suggested = {{0xe8, 2, 0x10f1}};
  return account;
}

/// Writes down what is asked, and answers as the script says.
auto note_and_answer(script* what) {
  return [what](std::string asked) -> caf::result<void> {
    what->asked.push_back(std::move(asked));
    if (what->silent) {
      return caf::delegated<void>{};
    }
    return what->outcome ? caf::result<void>{caf::unit} : caf::result<void>{messages::to_error(what->outcome.error())};
  };
}

/// The actor of a held function, as far as the control actor talks to it.
caf::behavior fake_device(caf::event_based_actor*, script* what, const pci::sbdf& address) {
  const auto answer = note_and_answer(what);
  const auto name = pci::to_string(address);
  return {
      [=](messages::policy_atom, const pci::policy_change& change) {
        return answer("policy " + name + words_of(change));
      },
      [=](messages::registers_atom) { return some_registers(address); },
      [=](messages::config_atom) {
        messages::config_account account;
        account.function.address = address;
        account.function.config = {std::byte{0x86}, std::byte{0x80}};
        account.trouble = "it is gone";
        return account;
      },
      [=](messages::retry_atom) { return answer("retry " + name); },
      [=](messages::acknowledge_atom, bool on) { return answer("acknowledge " + name + (on ? " on" : " off")); },
  };
}

/// A root that writes down what it is asked.
messages::root_actor::behavior_type fake_root(messages::root_actor::pointer self, script* what) {
  const auto answer = note_and_answer(what);
  return {
      [](messages::restore_atom) {},
      [=](messages::hold_atom, const pci::sbdf& address, bool seize) {
        return answer("hold " + pci::to_string(address) + (seize ? " seize" : ""));
      },
      [=](messages::release_atom, const pci::sbdf& address, bool probe) {
        return answer("release " + pci::to_string(address) + (probe ? "" : " driverless"));
      },
      [=](messages::reload_atom) {},
      [=](messages::attach_atom, messages::domain_id domain, const pci::sbdf& address) -> caf::result<pci::sbdf> {
        what->asked.push_back(fmt::format("attach {} {}", domain, pci::to_string(address)));
        return what->outcome ? caf::result<pci::sbdf>{pci::make_sbdf(0, 0, 1, 0)}
                             : caf::result<pci::sbdf>{messages::to_error(what->outcome.error())};
      },
      [=](messages::attach_atom, messages::domain_id domain, const pci::sbdf& address,
          const messages::attach_options& how) -> caf::result<pci::sbdf> {
        what->asked.push_back(fmt::format("attach {} {}", domain, pci::to_string(address)) +
                              (how.rdm ? fmt::format(" rdm {}", pci::to_string(*how.rdm)) : ""));
        return what->outcome ? caf::result<pci::sbdf>{pci::make_sbdf(0, 0, 1, 0)}
                             : caf::result<pci::sbdf>{messages::to_error(what->outcome.error())};
      },
      [=](messages::detach_atom, messages::domain_id domain, const pci::sbdf& address) {
        return answer(fmt::format("detach {} {}", domain, pci::to_string(address)));
      },
      [=](messages::drain_atom, const pci::sbdf& address) { return answer("drain " + pci::to_string(address)); },
      [=](messages::drain_atom, messages::domain_id domain) { return answer(fmt::format("drain domain {}", domain)); },
      [=](messages::find_atom, const pci::sbdf& address) {
        return caf::actor_cast<messages::device_actor>(self->spawn(fake_device, what, address));
      },
      [](messages::find_atom, const messages::domain_name& domain) -> caf::result<messages::domain_id> {
        if (domain.text != "web" && domain.text != "3") {
          return messages::to_error({ESRCH, "there is no domain \"" + domain.text + "\""});
        }
        return domain.text == "web" ? messages::domain_id{7} : messages::domain_id{3};
      },
      [=](messages::status_atom) {
        messages::overview all;
        all.functions.emplace_back().address = pci::make_sbdf(0, 0, 4, 0);
        return all;
      },
      [=](messages::list_atom) {
        messages::overview all;
        all.functions.emplace_back().address = pci::make_sbdf(0, 0, 4, 0);
        all.unmet.push_back({pci::make_sbdf(0, 0, 5, 0), messages::wish_gap::absent, "web", "", "there is none"});
        return all;
      },
      [=](messages::explain_atom, const pci::sbdf& address) {
        messages::explanation all;
        all.functions.emplace_back().address = address;
        return all;
      },
      [=](messages::explain_atom, const messages::domain_name& domain) {
        messages::explanation all;
        all.asked = domain.text;
        return all;
      },
      [](messages::changed_atom, messages::domain_id) {},
      [](messages::reread_atom) {},
      [](messages::ended_atom) {},
      [](messages::removed_atom, const pci::sbdf&) {},
      [](messages::added_atom, const pci::sbdf&) {},
      [](messages::unbound_atom, const pci::sbdf&) {},
      [](messages::waits_atom, const pci::sbdf&) {},
      [](messages::introduced_atom) {},
      [](messages::error_atom) {},
      [](messages::resumed_atom) {},
      [](messages::adopt_atom) {},
      [self](messages::stop_atom) { self->quit(); },
  };
}

/// The control actor before the stand-in, one message at a time.
struct control_fixture {
  struct answer {
    std::uint64_t connection;
    std::string line;
  };

  caf::actor_system_config configuration;
  caf::actor_system system;
  caf::scheduler::test_coordinator& scheduler;
  script what;
  std::vector<answer> answers;
  messages::root_actor root;
  messages::control_actor control;

  static caf::actor_system_config& configure(caf::actor_system_config& configuration) {
    configuration.set("scheduler.policy", caf::atom("testing"));
    return configuration;
  }

  control_fixture()
      : system(configure(configuration)),
        scheduler(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())),
        root(system.spawn(fake_root, &what)), control(system.spawn(
                                                  actors::control_behavior, root,
                                                  [this](std::uint64_t connection, std::string line) {
                                                    answers.push_back({connection, std::move(line)});
                                                  },
                                                  actors::control_views{})) {
    run();
  }
  ~control_fixture() {
    caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
    run();
  }

  void run() {
    while (scheduler.try_run_once()) {
    }
  }

  void send(std::uint64_t connection, std::string line) {
    caf::anon_send(control, messages::request_atom_v, connection, std::move(line));
    run();
  }

  std::string ask(const std::string& method, const std::string& params) {
    answers.clear();
    send(1, R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}");
    REQUIRE(answers.size() == 1);
    return answers.front().line;
  }
};

const std::string done = R"({"jsonrpc":"2.0","id":1,"result":{}})";

} // namespace

TEST_SUITE_BEGIN("deterministic");

TEST_CASE_FIXTURE(control_fixture, "each command reaches root, and its answer the connection") {
  CHECK(ask("hold", R"({"address":"00:04.0","seize":true})") == done);
  CHECK(ask("hold", R"({"address":"00:05.0"})") == done);
  CHECK(ask("attach", R"({"domain":"web","address":"00:04.0"})") ==
        R"({"jsonrpc":"2.0","id":1,"result":{"virtual_address":"0000:00:01.0"}})");
  CHECK(ask("acknowledge", R"({"address":"00:04.0","on":false})") == done);
  CHECK(ask("detach", R"({"domain":3,"address":"00:04.0"})") == done);
  CHECK(ask("drain", R"({"domain":3})") == done);
  CHECK(ask("drain", R"({"address":"00:04.0"})") == done);
  CHECK(ask("retry", R"({"address":"00:04.0"})") == done);
  CHECK(ask("release", R"({"address":"00:04.0"})") == done);
  CHECK(what.asked == std::vector<std::string>{"hold 0000:00:04.0 seize", "hold 0000:00:05.0", "attach 7 0000:00:04.0",
                                               "acknowledge 0000:00:04.0 off", "detach 3 0000:00:04.0",
                                               "drain domain 3", "drain 0000:00:04.0", "retry 0000:00:04.0",
                                               "release 0000:00:04.0"});
  what.asked.clear();
  CHECK(ask("release", R"({"address":"00:04.0","probe":false})") == done);
  CHECK(ask("permissive", R"({"address":"00:04.0","on":true})") == done);
  CHECK(ask("interrupt_control", R"({"address":"00:04.0","on":false})") == done);
  CHECK(ask("quirk", R"({"address":"00:04.0","quirk":"e8:2:f0"})") == done);
  CHECK(ask("quirk", R"({"address":"00:04.0","quirk":"e8:2:f0","on":false})") == done);
  CHECK(what.asked == std::vector<std::string>{"release 0000:00:04.0 driverless", "policy 0000:00:04.0 permissive true",
                                               "policy 0000:00:04.0 interrupt_control false",
                                               "policy 0000:00:04.0 open e8:2:f0", "policy 0000:00:04.0 close e8"});
  CHECK(ask("registers", R"j({"address":"00:04.0"})j") ==
        R"j({"jsonrpc":"2.0","id":1,"result":{"address":"0000:00:04.0","vendor":"8086","device":"0000",)j"
        R"j("subsystem_vendor":"0000","subsystem":"1af4","writes":"listed","interrupt_control":false,)j"
        R"j("quirks":["e8:2:f0"],"fields":["0:2:0","e8:2:f0"],"refused":3,)j"
        R"j("last":[{"register":"Express+8 (Device Control)","quirk":"e8:2:1001","value":"2830","count":3,)j"
        R"j("denied":false}],"suggested":["e8:2:10f1"]}})j");
  CHECK(ask("config", R"({"address":"00:04.0"})") ==
        R"({"jsonrpc":"2.0","id":1,"result":{"address":"0000:00:04.0","vendor":"0000","device":"0000","domain":null,)"
        R"("sizes":[0,0,0,0,0,0,0],"guest":null,"hardware":null,"reference":"8680","trouble":"it is gone"}})");
  CHECK(ask("reload", "{}").find("this daemon takes no settings") != std::string::npos); // it was given no way
  CHECK(ask("recent", "{}") == R"({"jsonrpc":"2.0","id":1,"result":{"events":[],"log":[]}})");
  CHECK(ask("list", "{}").find(R"("result":{"functions":[{"address":"0000:00:04.0")") != std::string::npos);
  CHECK(ask("list", "{}")
            .find(R"j("unmet":[{"address":"0000:00:05.0","gap":"absent","guest":"web","driver":null,)j"
                  R"j("why":"there is none"}]})j") != std::string::npos);
  CHECK(ask("explain", R"({"address":"00:05.0"})")
            .find(R"("asked":null,"guest":null,"functions":[{"address":"0000:00:05.0")") != std::string::npos);
  CHECK(ask("explain", R"({"domain":"web"})").find(R"("result":{"asked":"web")") != std::string::npos);
  CHECK(ask("version", "{}").find(R"("result":{"version":")") != std::string::npos);
}

TEST_CASE_FIXTURE(control_fixture, "what root cannot do is told with its errno and its words") {
  what.outcome = pci::fail(EBUSY, "0000:00:04.0 belongs to nvme");
  const auto busy =
      R"j("error":{"code":-32000,"message":"0000:00:04.0 belongs to nvme: Device or resource busy (16)",)j"
      R"("data":{"errno":16,"what":"0000:00:04.0 belongs to nvme","name":"EBUSY","kind":"busy"}})";
  CHECK(ask("hold", R"({"address":"00:04.0"})").find(busy) != std::string::npos);
  CHECK(ask("attach", R"({"domain":3,"address":"00:04.0"})").find(busy) != std::string::npos);
}

TEST_CASE_FIXTURE(control_fixture, "a guest that nobody knows is told of, and nothing is done") {
  for (const auto& [method, parameters] :
       {std::pair{"attach", R"({"domain":"wbe","address":"00:04.0"})"},
        std::pair{"detach", R"({"domain":"wbe","address":"00:04.0"})"}, std::pair{"drain", R"({"domain":"wbe"})"}}) {
    const auto answer = ask(method, parameters);
    CHECK(answer.find(R"("what":"there is no domain \"wbe\"","name":"ESRCH")") != std::string::npos);
  }
  CHECK(what.asked.empty());
}

TEST_CASE_FIXTURE(control_fixture, "what is no request is refused and never reaches root") {
  send(1, "hold 00:04.0");
  CHECK(ask("hold", R"({"address":"04"})").find("-32602") != std::string::npos);
  CHECK(ask("reboot", "{}").find("-32601") != std::string::npos);
  CHECK(ask("reboot", "{}").find(R"("data":{"kind":"usage"})") != std::string::npos);
  CHECK(what.asked.empty());
}

TEST_CASE_FIXTURE(control_fixture, "a root that stays silent is given up on after two minutes, the actor serves on") {
  what.silent = true;
  send(1, R"({"jsonrpc":"2.0","id":1,"method":"hold","params":{"address":"00:04.0"}})");
  scheduler.advance_time(119999ms);
  run();
  CHECK(answers.empty());
  CHECK(ask("version", "{}").find("result") != std::string::npos);
  answers.clear();
  scheduler.advance_time(1ms);
  run();
  REQUIRE(answers.size() == 1);
  CHECK(answers.front().line.find(
            R"("data":{"errno":110,"what":"the daemon did not finish it","name":"ETIMEDOUT","kind":"timed-out"})") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(control_fixture, "answers go to the connection that asked") {
  send(7, R"({"jsonrpc":"2.0","id":"a","method":"version"})");
  send(9, R"({"jsonrpc":"2.0","id":"b","method":"version"})");
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].connection == 7);
  CHECK(answers[0].line.find(R"("id":"a")") != std::string::npos);
  CHECK(answers[1].connection == 9);
  CHECK(answers[1].line.find(R"("id":"b")") != std::string::npos);
}

TEST_CASE_FIXTURE(control_fixture, "a notification is carried out, and its end is told without a line") {
  send(7, R"({"jsonrpc":"2.0","method":"release","params":{"address":"00:04.0"}})");
  CHECK(what.asked == std::vector<std::string>{"release 0000:00:04.0"});
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].connection == 7);
  CHECK(answers[0].line.empty());
}

TEST_CASE_FIXTURE(control_fixture, "the actor ends with root, and answers what is still open") {
  what.silent = true;
  send(1, R"({"jsonrpc":"2.0","id":1,"method":"hold","params":{"address":"00:04.0"}})");
  caf::scoped_actor watcher{system, true};
  watcher->monitor(control);
  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  run();
  CHECK(watcher->has_next_message());
}

TEST_SUITE_END();
