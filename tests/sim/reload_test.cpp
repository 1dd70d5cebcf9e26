// SPDX-License-Identifier: GPL-2.0-or-later
// Settings that become others while the daemon runs.
#include <fstream>

#include "simulated_daemon.hpp"
#include "tools/pcibackctl/reload.hpp"
#include "tools/pcibackd/reload.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using daemon_program::compare;
using messages::function_state;
using setting_keys = std::vector<std::string>;

namespace {

config::settings parsed_settings(const std::string& text) { return config::parse(text, "f").value(); }

} // namespace

TEST_CASE("settings that are the same change nothing, wherever they stand in the file") {
  const auto one =
      parsed_settings("[[device]]\naddress = \"03:00.0\"\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n");
  const auto other = parsed_settings(
      "\n\n[[device]]\naddress = \"03:00.0\"\n\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n");
  CHECK(compare(one, other).taken.empty());
  CHECK(compare(one, other).restart.empty());
}

TEST_CASE("each setting is taken over, or needs a restart and stays as it was") {
  const config::settings now;
  const auto next = parsed_settings(
      "[daemon]\nlog_level = \"debug\"\npermissive = true\nfrontend_patience_ms = 500\naer_patience_s = 7\n"
      "interrupt_rate = 50\naccess_rate = 500\npoll_us = 5\npoll_share = 7\nsocket = \"/run/a\"\n"
      "runtime = \"/run/b\"\nmetrics_file = \"/run/c.prom\"\ntopology = \"passthrough\"\n"
      "function_numbers = \"kept\"\nline_rate = 500\n[[guest]]\nmatch = \"n\"\nhot_plug = false\n"
      "[[device]]\naddress = \"03:00.0\"\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n");
  const auto what = compare(now, next);
  CHECK(what.taken == setting_keys{"log_level", "permissive", "frontend_patience_ms", "aer_patience_s",
                                   "interrupt_rate", "access_rate", "poll_us", "poll_share", "[[device]]", "[[guest]]",
                                   "[[assign]]"});
  CHECK(what.restart == setting_keys{"socket", "runtime", "metrics_file", "topology", "function_numbers", "line_rate"});
  CHECK(what.merged.socket == now.socket);
  CHECK(what.merged.topology == now.topology);
  CHECK(what.merged.line_rate == now.line_rate);
  CHECK(what.merged.access_rate == 500);
  CHECK(compare(what.merged, next).taken.empty());
  auto given = now;
  given.socket_given = true;
  CHECK(compare(given, parsed_settings("[daemon]\nsocket = \"/run/a\"\n")).restart.empty());
}

TEST_CASE("a mistake changes nothing, and is told with its place") {
  std::vector<config::settings> applied;
  daemon_program::reloader live({}, {}, [&](const config::settings& next) { applied.push_back(next); });
  const auto wrong = live.take("[daemon]\naccess_rate = 500\nline_rat = 3\n", "/etc/p.toml");
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().error == EINVAL);
  CHECK(wrong.error().context.starts_with("/etc/p.toml:3:1: "));
  CHECK(applied.empty());
  CHECK(live.take_file().error().error == ENOENT);
  REQUIRE(live.take("[daemon]\nline_rate = 500\n", "f").has_value());
  CHECK(applied.empty()); // what needs a restart does not hold
  REQUIRE(live.take("[daemon]\naccess_rate = 500\n", "f").has_value());
  REQUIRE(applied.size() == 1);
  CHECK(applied.front().access_rate == 500);
  CHECK(live.take("[daemon]\naccess_rate = 500\n", "f")->taken.empty());
}

TEST_CASE("the file is read again, and what is always added stays") {
  const temporary_directory folder;
  const auto file = folder / "p.toml";
  std::ofstream(file) << "[daemon]\naccess_rate = 700\n";
  config::settings first;
  first.file = file;
  config::settings applied;
  daemon_program::reloader live(
      first,
      [](config::settings next) {
        next.guests.push_back({"always", true});
        return next;
      },
      [&](const config::settings& next) { applied = next; });
  const auto what = live.take_file();
  REQUIRE(what.has_value());
  CHECK(daemon_program::summary_of(*what) == "settings taken over: access_rate, [[guest]]");
  CHECK(applied.access_rate == 700);
  CHECK(applied.guests.size() == 1);
  CHECK(applied.file == file);
}

TEST_SUITE_BEGIN("deterministic");

namespace {

struct reloading : two_cards {
  void reload(actors::settings next) {
    all->configuration.set(std::move(next));
    caf::anon_send(root, messages::reload_atom_v);
    run();
  }
  static actors::settings holding(std::initializer_list<pci::sbdf> which) {
    actors::settings made;
    for (const auto& address : which) {
      made.own(address).seize = true;
    }
    return made;
  }
};

} // namespace

TEST_CASE_FIXTURE(reloading, "functions that are newly to be held are held, and those that are not any more stay") {
  reload(holding({nic}));
  CHECK(wait_until_held(nic));
  CHECK(host.xen().facts(disk)->driver == "nvme");
  reload(holding({disk}));
  CHECK(wait_until_held(disk));
  CHECK(function(nic).state == function_state::held);
  REQUIRE(release(nic));
  auto both = holding({nic, disk});
  reload(both);
  CHECK(wait_until_held(nic));
  // Whoever gives one back to dom0 keeps it, whatever else changes.
  REQUIRE(release(nic));
  both.access_rate = 500;
  reload(both);
  advance(1s);
  CHECK(host.xen().facts(nic)->driver == "e1000e");
}

TEST_CASE_FIXTURE(reloading,
                  "a guest that runs is given what is newly assigned to it, and keeps what is not any more") {
  REQUIRE(hold(nic));
  REQUIRE(hold(disk));
  const auto domain = host.create_domain("web");
  run();
  auto settings = holding({});
  settings.assignments = {{"web", {nic}}};
  reload(settings);
  CHECK(wait_until([&] { return function(nic).domain == domain; }, 20s));
  settings.assignments = {{"web", {disk}}};
  reload(settings);
  CHECK(wait_until([&] { return function(disk).domain == domain; }, 20s));
  CHECK(function(nic).domain == domain);
}

TEST_CASE_FIXTURE(reloading, "another policy holds for the next lease") {
  REQUIRE(hold(nic));
  CHECK_FALSE(function(nic).permissive);
  auto settings = holding({nic});
  settings.own(nic).policy.permissive = true;
  reload(settings);
  CHECK(function(nic).permissive);
  const auto domain = boot("web", {nic});
  platform::sim::frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  reload(holding({nic}));
  CHECK(function(nic).permissive); // this lease's
  host.toolstack_destroy(domain);
  run();
  REQUIRE(wait_until_held(nic));
  CHECK_FALSE(function(nic).permissive);
}

TEST_SUITE_END();

TEST_CASE_FIXTURE(simulated_daemon, "pcibackctl reload checks the file, sends it, and tells what came of it") {
  pci::result<void> outcome;
  std::thread daemon{[&] { outcome = simulated->run({}, *socket, signals[0], false); }};
  CHECK(list_with("\"connected\":true").find("leased") != std::string::npos);
  const auto file = directory / "p.toml";
  const auto write = [&](const char* text) { std::ofstream(file) << text; };
  write("[daemon]\naccess_rate = 900\ntopology = \"passthrough\"\n");
  const auto done = client_program::run_reload(file, path, {});
  REQUIRE(done.has_value());
  CHECK(client_program::reload_text(done->result) == "taken over: access_rate\ntopology: needs a restart\n");
  CHECK(list_with("\"access_rate\":900").find("\"access_rate\":900") != std::string::npos);
  CHECK(client_program::reload_text(client_program::run_reload(file, path, {})->result) ==
        "nothing that can be taken over has changed\ntopology: needs a restart\n");
  write("[daemon]\naccess_rat = 900\nline_rate = 1\n");
  const auto wrong = client_program::run_reload(file, path, {});
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().mistakes.size() == 2);
  CHECK(wrong.error().mistakes.front().starts_with(file + ":2:1: "));
  CHECK(client_program::reload_failure_json(wrong.error()).find("\"mistakes\":[\"") != std::string::npos);
  const auto unnamed = client_program::run_reload("", path, {});
  REQUIRE_FALSE(unnamed.has_value());
  CHECK(unnamed.error().why.kind == pci::failure_kind::usage);
  CHECK(client_program::run_reload(directory / "none", path, {}).error().why.text.find("none") != std::string::npos);
  CHECK(client_program::reload_text("{}").error().error == EPROTO);
  signal();
  daemon.join();
  CHECK(outcome.has_value());
}
