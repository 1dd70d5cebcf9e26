// SPDX-License-Identifier: GPL-2.0-or-later
// How often a function is looked at when it appears: each look reads its whole configuration space.
#include <algorithm>
#include <span>

#include "faulty_host.hpp"
#include "two_cards.hpp"

using namespace test;
using messages::function_state;
using platform::sim::builtin_model;
using platform::sim::place;

TEST_SUITE_BEGIN("deterministic");

namespace {

/// The daemon, which is to hold all network cards, on a host that counts its calls.
struct counted_looks : two_cards {
  counted_looks() : counted(host, all_calls) {
    stop_daemon();
    actors::settings settings;
    auto& cards = settings.devices.emplace_back();
    cards.match.classes = pci::parse_class("02").value();
    cards.seize = true;
    all = std::make_shared<actors::environment>(
        actors::environment{counted, std::move(settings), events, store_worker, false});
    start_root();
  }
  ~counted_looks() override { stop_daemon(); }
  /// The calls while a card takes the place of another, up to when the function is bound to its holder, and from then
  /// on.
  std::pair<std::vector<std::string>, std::vector<std::string>> plug(const char* model, const pci::sbdf& where,
                                                                     const char* driver) {
    REQUIRE(host.remove_function(where));
    run();
    all_calls.calls.clear();
    host.add_function(place(*builtin_model(model), where), driver);
    run();
    const auto bound = std::ranges::find(all_calls.calls, "bind holder");
    return {{all_calls.calls.begin(), bound}, {bound, all_calls.calls.end()}};
  }
  static auto count(const std::vector<std::string>& calls, const char* which) {
    return std::ranges::count(calls, which);
  }

  faults all_calls;
  faulty_host counted;
};

} // namespace

TEST_CASE_FIXTURE(counted_looks, "a function that appears is examined once before it is held, and once when it is") {
  const auto [before, after] = plug("e1000e", nic, "e1000e");
  REQUIRE(function(nic).state == function_state::held);
  CHECK(count(before, "describe") == 1);
  CHECK(count(before, "identify") == 1); // which touches nothing
  CHECK(count(before, "resources") == 0);
  CHECK(count(before, "config read") == 0);
  // As it is under its holder; and the scrub compares the outcome with that.
  CHECK(count(after, "describe") == 2);
  CHECK(count(after, "identify") == 0);
}

TEST_CASE_FIXTURE(counted_looks, "a function that appears and is dom0's is not touched") {
  const auto [before, after] = plug("nvme", disk, "nvme");
  CHECK(after.empty());
  CHECK(count(before, "identify") == 1);
  CHECK(count(before, "describe") == 0);
  CHECK(count(before, "open config") == 0);
}

TEST_CASE_FIXTURE(counted_looks, "a function that is held by command is examined once before that") {
  all_calls.calls.clear();
  REQUIRE(hold(disk));
  const std::vector<std::string> before(all_calls.calls.begin(), std::ranges::find(all_calls.calls, "bind holder"));
  CHECK(count(before, "describe") == 1);
  CHECK(count(before, "identify") == 0);
}

TEST_SUITE_END();
