// SPDX-License-Identifier: GPL-2.0-or-later
// `pcibackctl sim` and scenarios, on the whole daemon.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "actors/control/request.hpp"
#include "simulated_daemon.hpp"
#include "tools/pcibackctl/sim.hpp"
#include "tools/pcibackd/simulation_request.hpp"

using namespace std::chrono_literals;
using client_program::sim_words;

namespace {

constexpr std::string_view playground = R"([[function]]
address = "0000:00:03.0"
model = "e1000e"
gsi = 23
[[function]]
address = "0000:00:04.0"
model = "nvme"
gsi = 20
driver = "nvme"
[[function]]
address = "0000:00:09.0"
model = "e1000"
gsi = 10
[[guest]]
name = "web"
functions = ["0000:00:03.0"]
[[guest]]
name = "legacy"
functions = ["0000:00:09.0"]
[[guest]]
name = "idle"
functions = []
[[guest]]
name = "later"
functions = ["0000:00:04.0"]
autostart = false
)";

/// The daemon runs on a thread until the test ends.
struct playing : test::simulated_daemon {
  pci::result<void> outcome;
  std::thread daemon;

  explicit playing(std::string_view what = playground, const config::settings& settings = {})
      : simulated_daemon(what),
        daemon([this, settings] { outcome = simulated->run(settings, *socket, signals[0], false); }) {}
  ~playing() {
    stop();
    CHECK(outcome.has_value());
  }
  void stop() {
    if (daemon.joinable()) {
      signal();
      daemon.join();
    }
  }
  [[nodiscard]] pci::result<std::string> sim(const sim_words& words) const {
    return client_program::exchange(path, client_program::sim_request(words))
        .and_then(client_program::result_of)
        .and_then(client_program::sim_message);
  }
  /// The answer, or why not.
  [[nodiscard]] std::string said(const sim_words& words) const {
    const auto answer = sim(words);
    return answer ? *answer : answer.error().context;
  }
  [[nodiscard]] std::string list() const { return ask({"list", {}, {}, {}, {}}).value_or(""); }
  [[nodiscard]] bool comes(const std::function<bool()>& what, std::chrono::seconds limit = 20s) const {
    for (const auto end = std::chrono::steady_clock::now() + limit; !what();) {
      if (std::chrono::steady_clock::now() >= end) {
        return false;
      }
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  /// The function's own part of the list.
  [[nodiscard]] std::string part(const std::string& address) const {
    const auto all = list();
    const auto from = all.find("{\"address\":\"" + address + "\"");
    return from == std::string::npos ? std::string{} : all.substr(from, all.find("{\"address\"", from + 1) - from);
  }
  [[nodiscard]] bool shows(const std::string& address, const std::string& text) const {
    return comes([&] { return part(address).find(text) != std::string::npos; });
  }
};

} // namespace

TEST_CASE_FIXTURE(playing, "a guest is killed, started, rebooted and crashed") {
  REQUIRE(shows("0000:00:03.0", R"("state":"leased")"));
  CHECK(said({"kill", "web"}) == "guest \"web\" is destroyed");
  CHECK(shows("0000:00:03.0", R"("state":"held")"));
  CHECK(comes([&] {
    return said({"kill", "web"}).rfind("guest \"web\" does not run; `pcibackctl sim start web` starts it", 0) == 0;
  }));
  const auto started = said({"start", "web"});
  CHECK(started.rfind("guest \"web\" starts as domain ", 0) == 0);
  CHECK(shows("0000:00:03.0", R"("mode":"msix")"));
  CHECK(said({"start", "web"}).rfind("guest \"web\" runs already", 0) == 0);
  CHECK(said({"reboot", "web"}) == "guest \"web\" reboots");
  // Another domain has it in the end.
  const auto domain = started.substr(started.rfind(' ') + 1);
  CHECK(comes([&] {
    const auto now = part("0000:00:03.0");
    return now.find(R"("mode":"msix")") != std::string::npos &&
           now.find("\"domain\":" + domain + ",") == std::string::npos;
  }));
  CHECK(said({"crash", "web"}) == "guest \"web\" crashes");
  CHECK(shows("0000:00:03.0", R"("state":"held")"));
  CHECK(said({"start", "later"}).rfind("guest \"later\" starts as domain ", 0) == 0);
  CHECK(shows("0000:00:04.0", R"("mode":"msix")"));
}

TEST_CASE_FIXTURE(playing, "interrupts are raised, by message and by line, and arrive") {
  REQUIRE(shows("0000:00:03.0", R"("mode":"msix")"));
  REQUIRE(comes([&] { return sim({"raise", "0000:00:09.0"}).has_value(); }));
  CHECK(comes([&] { return sim({"raise", "0000:00:03.0"}).has_value(); }));
  CHECK(said({"raise", "03:00.0"}).rfind("the simulated host has no function 0000:03:00.0 now", 0) == 0);
  sim_words many{"raise", "0000:00:03.0"};
  many.count = 100;
  many.vector = 1;
  CHECK(said(many) == "0000:00:03.0 raised 100 interrupts, 100 received");
  many.vector = 40;
  CHECK(said(many).rfind("nobody received interrupt 40 of 0000:00:03.0", 0) == 0);
  // Held, and nobody's: its guest is not started.
  CHECK(said({"raise", "0000:00:04.0"}).rfind("nobody received interrupt 0 of 0000:00:04.0", 0) == 0);
}

TEST_CASE_FIXTURE(playing, "a storm, a flood and a stall are lived through") {
  REQUIRE(shows("0000:00:03.0", R"("mode":"msix")"));
  REQUIRE(shows("0000:00:09.0", R"("state":"leased")"));
  sim_words words{"storm", "0000:00:09.0"};
  words.seconds = 0.3;
  CHECK(said(words) == "0000:00:09.0 raises interrupts without end for 0.3 s");
  words = {"flood", "web"};
  words.seconds = 0.3;
  CHECK(said(words) == "guest \"web\" raises events and operations without end for 0.3 s");
  words = {"stall", "legacy"};
  words.seconds = 0.3;
  CHECK(said(words) == "guest \"legacy\" does nothing for 0.3 s");
  words = {"stall", "0000:00:03.0"};
  words.seconds = 0.3;
  CHECK(said(words) == "each access to the configuration space of 0000:00:03.0 takes 100 ms, for 0.3 s");
  std::this_thread::sleep_for(400ms);
  CHECK(shows("0000:00:03.0", R"("mode":"msix")"));
  CHECK(comes([&] { return sim({"raise", "0000:00:03.0"}).has_value(); }));
  CHECK(said({"stall", "later"}).find("does not run") != std::string::npos);
  CHECK(said({"flood", "later"}).find("does not run") != std::string::npos);
}

TEST_CASE_FIXTURE(playing, "a card reports errors, is pulled out and put in again") {
  REQUIRE(shows("0000:00:03.0", R"("mode":"msix")"));
  REQUIRE(comes([&] { return sim({"raise", "0000:00:03.0"}).has_value(); }));
  sim_words words{"error", "0000:00:03.0"};
  words.severity = "fatal";
  CHECK(said(words) == "0000:00:03.0 reports a fatal error");
  CHECK(shows("0000:00:03.0", R"("recovered":1)"));
  CHECK(said({"plug", "0000:00:03.0"}).rfind("0000:00:03.0 is plugged in already", 0) == 0);
  CHECK(said({"unplug", "0000:00:03.0"}) == "0000:00:03.0 is pulled out; its guest is asked to let go of it first");
  CHECK(comes([&] { return list().find(R"("address":"0000:00:03.0","state":"leased")") == std::string::npos; }));
  CHECK(comes([&] {
    return said({"unplug", "0000:00:03.0"}).rfind("the simulated host has no function 0000:00:03.0 now", 0) == 0;
  }));
  CHECK(said({"plug", "0000:00:03.0"}) == "0000:00:03.0 is plugged in");
  CHECK(shows("0000:00:03.0", R"("state":"held")"));
  CHECK(said({"plug", "00:1f.0"}).rfind("there is no [[function]] 0000:00:1f.0", 0) == 0);
}

TEST_CASE_FIXTURE(playing, "what cannot be done is refused in one line") {
  CHECK(said({"kill", "nobody"})
            .rfind("the simulated host has no guest \"nobody\"; it has web, legacy, idle, later", 0) == 0);
  CHECK(said({"kil", "web"}).rfind("there is no such action; did you mean \"kill\"?", 0) == 0);
  CHECK(said({"hold", "0000:00:03.0"}).rfind("there is no such action", 0) == 0);
  CHECK(said({"kill", "0000:00:03.0"}).rfind("kill needs a guest, and nothing else", 0) == 0);
  CHECK(said({"unplug", "web"}).rfind("unplug needs a function, and nothing else", 0) == 0);
  CHECK(said({"unplug", "00:33.0"}).find("it must be an address such as 0000:03:00.0") != std::string::npos);
  sim_words words{"kill", "web"};
  words.seconds = 1;
  CHECK(said(words).rfind("kill has no use for \"seconds\"", 0) == 0);
  words = {"error", "0000:00:03.0"};
  words.severity = "mild";
  CHECK(said(words).rfind("\"severity\" must be one of corrected, nonfatal, fatal", 0) == 0);
  words = {"storm", "0000:00:03.0"};
  words.seconds = 601;
  CHECK(said(words).rfind("\"seconds\" must be a number from 0 to 600", 0) == 0);
  words = {"raise", "0000:00:03.0"};
  words.count = 0;
  CHECK(said(words).rfind("\"count\" must be an integer from 1 to 1000000", 0) == 0);
}

TEST_CASE("sim is refused by a daemon on a real host, and other methods are not the simulation's") {
  const auto line = client_program::sim_request({"kill", "web"});
  const auto refused = actors::control::parse_request(line);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message ==
        "sim is for a simulated host, and this daemon serves a real one; start `pcibackd --simulate FILE`");
  CHECK(daemon_program::parse_simulation_request(line).has_value());
  for (const char* other :
       {"", "[]", "{}", "x", R"({"jsonrpc":"2.0","method":"list","id":1})",
        R"({"jsonrpc":"1.0","method":"sim","id":1})", R"({"jsonrpc":"2.0","method":"sim","id":1.5})"}) {
    CHECK_FALSE(daemon_program::parse_simulation_request(other).has_value());
  }
  for (const char* params : {"", R"(,"params":3)", R"(,"params":{})", R"(,"params":{"action":3})",
                             R"(,"params":{"action":"kill","guest":3})", R"(,"params":{"action":"kill","x":3})",
                             R"(,"params":{"action":"unplug","function":[]})",
                             R"(,"params":{"action":"raise","function":"00:03.0","vector":-1})"}) {
    CAPTURE(params);
    const auto got = daemon_program::parse_simulation_request(
        fmt::format(R"({{"jsonrpc":"2.0","method":"sim","id":"a"{}}})", params));
    REQUIRE(got.has_value());
    CHECK(got->id == "\"a\"");
    REQUIRE_FALSE(got->what.has_value());
    CHECK(got->what.error().error == EINVAL);
  }
  CHECK(client_program::sim_message("{}").error().error == EPROTO);
  CHECK(client_program::sim_message(R"({"message":"x"})") == "x");
}

TEST_CASE_FIXTURE(playing, "a guest that has no functions lives, and binds a driver to one that comes late") {
  REQUIRE(shows("0000:00:03.0", R"("mode":"msix")"));
  const auto disk = pci::make_sbdf(0, 0, 4, 0);
  REQUIRE(comes([&] { return ask({"attach", "idle", disk, {}, {}}).has_value(); }));
  CHECK(shows("0000:00:04.0", R"("mode":"msix")"));
  CHECK(comes([&] { return sim({"raise", "0000:00:04.0"}).has_value(); }));
  // And one to a second, while it runs.
  REQUIRE(ask({"attach", "web", pci::make_sbdf(0, 0, 4, 0), {}, {}}).has_value() == false);
  REQUIRE(ask({"detach", "idle", disk, {}, {}}).has_value());
  REQUIRE(ask({"attach", "web", disk, {}, {}}).has_value());
  CHECK(shows("0000:00:04.0", R"("mode":"msix")"));
  REQUIRE(ask({"detach", "web", disk, {}, {}}).has_value());
  REQUIRE(ask({"attach", "idle", disk, {}, {}}).has_value());
  CHECK(shows("0000:00:04.0", R"("mode":"msix")"));
}

TEST_CASE("a guest that panics ends, is built again when its toolstack says so, and the host lives on") {
  // NetBSD panics at a backend that goes to 6 or beyond, as it does in a hot-plug: which settings can keep from it.
  config::settings settings;
  settings.guests.push_back({"bsd", true});
  playing all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\ngsi=23\n"
              "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000e\"\ngsi=20\n"
              "[[guest]]\nname=\"other\"\nfunctions=[\"00:04.0\"]\n"
              "[[guest]]\nname=\"bsd\"\nfrontend=\"netbsd\"\nfunctions=[\"00:03.0\"]\non_crash=\"restart\"\n"
              "[[function]]\naddress=\"00:05.0\"\nmodel=\"e1000e\"\ngsi=21\n"
              "[[guest]]\nname=\"owner\"\nautostart=false\nfunctions=[\"00:05.0\"]\n",
              settings};
  REQUIRE(all.comes([&] { return all.sim({"raise", "0000:00:03.0"}).has_value(); }));
  const auto domain_of = [&] {
    const auto text = all.part("0000:00:03.0");
    const auto at = text.find("\"domain\":");
    return at == std::string::npos ? std::string{} : text.substr(at, text.find(',', at) - at);
  };
  const auto before = domain_of();
  static_cast<void>(all.ask({"attach", "bsd", pci::make_sbdf(0, 0, 5, 0), {}, {}}));
  CHECK(all.comes(
      [&] {
        const auto now = domain_of();
        return now != before && now.find("null") == std::string::npos && all.sim({"raise", "0000:00:03.0"}).has_value();
      },
      60s));
  CHECK(all.sim({"raise", "0000:00:04.0"}).has_value());
}

TEST_CASE("silent, slow and hostile guests are served, and lose their functions") {
  playing all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\ngsi=23\n"
              "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000e\"\ngsi=20\n"
              "[[function]]\naddress=\"00:05.0\"\nmodel=\"e1000e\"\ngsi=21\n"
              "[[guest]]\nname=\"mute\"\nhabit=\"silent\"\nfunctions=[\"00:03.0\"]\n"
              "[[guest]]\nname=\"slow\"\nhabit=\"slow\"\nslow_ms=300\nfunctions=[\"00:04.0\"]\n"
              "[[guest]]\nname=\"evil\"\nhabit=\"hostile\"\nfunctions=[\"00:05.0\"]\n"};
  for (unsigned slot : {3, 4, 5}) {
    const auto address = fmt::format("0000:00:{:02x}.0", slot);
    CAPTURE(address);
    REQUIRE(all.comes([&] { return all.sim({"raise", address}).has_value(); }));
  }
  // What is hostile is counted as refused.
  CHECK(all.comes([&] {
    const auto part = all.part("0000:00:05.0");
    const auto all_of_it = all.list();
    return part.find("\"refused\":") != std::string::npos || all_of_it.find("\"absent\":0,") == std::string::npos;
  }));
  for (unsigned slot : {3, 4, 5}) {
    CHECK(all.ask({"drain", {}, pci::make_sbdf(0, 0, static_cast<std::uint8_t>(slot), 0), {}, {}}).has_value());
    CHECK(all.shows(fmt::format("0000:00:{:02x}.0", slot), R"("state":"held")"));
  }
}

TEST_CASE("a simulation ends within a second, whatever its guests and its cards are at") {
  playing all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\ngsi=23\n"
              "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000e\"\ngsi=20\n"
              "[[function]]\naddress=\"00:05.0\"\nmodel=\"e1000e\"\ngsi=21\n"
              "[[guest]]\nname=\"mute\"\nhabit=\"silent\"\nfunctions=[\"00:03.0\"]\n"
              "[[guest]]\nname=\"small\"\nfrontend=\"mini-os\"\nfunctions=[\"00:04.0\"]\n"
              "[[guest]]\nname=\"slow\"\nhabit=\"slow\"\nfunctions=[\"00:05.0\"]\n"
              "[[guest]]\nname=\"late\"\nstart_delay_ms=600000\nfunctions=[]\n"};
  for (const char* address : {"0000:00:03.0", "0000:00:04.0", "0000:00:05.0"}) {
    REQUIRE(all.comes([&] { return all.sim({"raise", address}).has_value(); }));
  }
  sim_words stall{"stall", "small"};
  stall.seconds = 600;
  REQUIRE(all.sim(stall).has_value());
  stall.target = "0000:00:05.0";
  REQUIRE(all.sim(stall).has_value());
  sim_words storm{"storm", "0000:00:03.0"};
  storm.seconds = 600;
  REQUIRE(all.sim(storm).has_value());
  const auto begin = std::chrono::steady_clock::now();
  all.stop();
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
}

TEST_CASE("a simulation whose cards are being reset ends within a second too") {
  playing all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\nreset_ms=600000\n"
              "[[guest]]\nname=\"a\"\nfunctions=[\"00:03.0\"]\n"};
  std::this_thread::sleep_for(200ms); // it is being taken, which begins with a reset
  const auto begin = std::chrono::steady_clock::now();
  all.stop();
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
}

TEST_CASE("a reset takes its time") {
  playing all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\nreset_ms=700\n"
              "[[guest]]\nname=\"a\"\nfunctions=[\"00:03.0\"]\n"};
  REQUIRE(all.comes([&] { return all.sim({"raise", "0000:00:03.0"}).has_value(); }));
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(all.sim({"kill", "a"}).has_value());
  CHECK(all.shows("0000:00:03.0", R"("state":"held")"));
  CHECK(std::chrono::steady_clock::now() - begin >= 700ms);
}

TEST_CASE("a scenario plays its events at their times, an administrator's too, and ends the simulation") {
  test::simulated_daemon all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\ngsi=23\n"
                             "[[function]]\naddress=\"00:04.0\"\nmodel=\"nvme\"\ngsi=20\n"
                             "[[guest]]\nname=\"web\"\nfunctions=[\"00:03.0\"]\n"
                             "[[event]]\nat=0.6\ndo=\"end\"\n"
                             "[[event]]\nat=0.2\ndo=\"kill\"\nguest=\"web\"\n"
                             "[[event]]\nat=0.1\ndo=\"hold\"\nfunction=\"00:04.0\"\n"
                             "[[event]]\nat=0.4\ndo=\"unplug\"\nfunction=\"00:04.0\"\n"};
  std::vector<std::string> said;
  std::mutex mutex;
  all.simulated->when_told([&](const std::string& line) {
    const std::lock_guard lock(mutex);
    said.push_back(line);
  });
  const auto begin = std::chrono::steady_clock::now();
  CHECK(all.simulated->run({}, *all.socket, all.signals[0], false).has_value());
  CHECK(std::chrono::steady_clock::now() - begin >= 600ms);
  const auto index = [&](const std::string& line) { return std::find(said.begin(), said.end(), line) - said.begin(); };
  const auto count = static_cast<std::ptrdiff_t>(said.size());
  const auto held = index("scenario: hold 0000:00:04.0: done");
  const auto killed = index("scenario: guest \"web\" is destroyed");
  const auto pulled = index("scenario: 0000:00:04.0 is pulled out; its guest is asked to let go of it first");
  CHECK(held < count);
  CHECK(killed < pulled);
  CHECK(pulled < index("scenario: the end"));
  CHECK(index("scenario: the end") < count);
}

TEST_CASE("the first commands to try are suggested when the guests are up, with the socket that is served") {
  test::simulated_daemon other{playground};
  std::string text;
  std::mutex mutex;
  other.simulated->when_told([&](const std::string& line) {
    const std::lock_guard lock(mutex);
    text += line;
  });
  config::settings settings;
  settings.socket = other.path;
  std::thread daemon{
      [&] { CHECK(other.simulated->run(settings, *other.socket, other.signals[0], false).has_value()); }};
  for (const auto end = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < end;) {
    std::this_thread::sleep_for(10ms);
    const std::lock_guard lock(mutex);
    if (text.find("Try next") != std::string::npos) {
      break;
    }
  }
  other.signal();
  daemon.join();
  for (const char* command : {"list\n", "sim raise 0000:00:03.0\n", "sim kill web\n"}) {
    CHECK(text.find(fmt::format("  pcibackctl --socket {} {}", other.path, command)) != std::string::npos);
  }
}
