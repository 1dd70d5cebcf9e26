// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/xenbus.hpp"

#include <array>
#include <limits>
#include <map>

#include <doctest/doctest.h>

using namespace pci;

namespace {

using grid = std::array<std::string, 9>; // [own state][frontend's state]

// Spec 7.4, 7.5 and 9: what a backend does, by its own state (a line each, 0 to 8) and its frontend's (a letter each).
// . none, p prepare, e export_all, n export_new, c connect, r reconfigure, m complete, t take_back, x close, d closed,
// R restart, s stand_in, u catch_up, o start_over, i call_again, a adopt, T tear_down
const grid never_connected{{
    // 0123456 78
    "T....xd..", // 0: the state node is not there
    "Tpppppppp", // 1: only 1 is probed
    "Teeeexeee", // 2
    "T..c.x...", // 3
    "T..c.xR..", // 4
    "TR....d..", // 5
    "TR.R.x...", // 6
    "Ttt..xRr.", // 7: it is the frontend's move, unless there is none
    "T...mxR..", // 8
}};
const grid connected{{
    "T....xd..", //
    "Tpppppppp", //
    "Teeeexeee", //
    "T..omxR..", // a toolstack wrote the 3
    "T....xR..", //
    "TR....d..", //
    "TR.R.x...", //
    "T....xRr.", //
    "T...mxR..", //
}};
const std::string started_over = "Tooooxdoo"; // in 4, 7 and 8
const std::string hot_plug_without_frontend = "TttttxRrt";
const std::string hot_plug_kept_from_frontend = "TttttxRtt";
const std::string hot_plugged_without_frontend = "TmmmmxRmm";
const std::string added_while_initialised = "Tnnnnxnnn";
// By the own state alone, for the frontend does not run.
const std::string shut_down = ".pes.sstm";
const std::string dying = "TTTTTTTtm";

const std::map<xenbus_step, char> letters{
    {xenbus_step::none, '.'},       {xenbus_step::prepare, 'p'},    {xenbus_step::export_all, 'e'},
    {xenbus_step::export_new, 'n'}, {xenbus_step::connect, 'c'},    {xenbus_step::reconfigure, 'r'},
    {xenbus_step::complete, 'm'},   {xenbus_step::take_back, 't'},  {xenbus_step::close, 'x'},
    {xenbus_step::closed, 'd'},     {xenbus_step::restart, 'R'},    {xenbus_step::stand_in, 's'},
    {xenbus_step::catch_up, 'u'},   {xenbus_step::start_over, 'o'}, {xenbus_step::adopt, 'a'},
    {xenbus_step::tear_down, 'T'},  {xenbus_step::call_again, 'i'}};

struct situation {
  bool exists, connected, ending, waited_out, given_up, new_device, going_device, online, shut_down, paused, overtaken,
      takes_hot_plug, started_over, unadopted, uncalled;
};
constexpr unsigned situations = 1U << 15U;

situation situation_of(unsigned bits) {
  const auto bit = [&](unsigned n) { return (bits >> n & 1) != 0; };
  return {bit(0), bit(1), bit(2),  bit(3),  bit(4),  bit(5),  bit(6), bit(7),
          bit(8), bit(9), bit(10), bit(11), bit(12), bit(13), bit(14)};
}

char expected(const situation& now, std::size_t own, std::size_t frontend) {
  if (!now.exists || frontend == 0)
    return 'T';
  if (now.ending)
    return dying[own];
  if (now.unadopted)
    return 'a';
  if (now.shut_down)
    return own == 3 && now.new_device ? 'n' : shut_down[own];
  if (frontend == 6 && own != 1) {
    if (own == 5)
      return 'd';
    if (!now.online || now.given_up || !now.takes_hot_plug) // nobody is expected to come back
      return own == 6 ? '.' : 'd';
    if (own == 6)
      return now.waited_out ? 'R' : '.';
    if (own == 3 && now.connected)
      return 'R';
    if (own == 3 && now.uncalled && !now.new_device)
      return 'i';
  }
  if (now.connected && now.started_over && (own == 4 || own == 7 || own == 8) && frontend != 5 && frontend != 6)
    return started_over[frontend];
  const bool alone = now.waited_out || now.paused;
  if (own == 7 && !now.takes_hot_plug)
    return hot_plug_kept_from_frontend[frontend];
  if (own == 7 && alone)
    return hot_plug_without_frontend[frontend];
  if (own == 8 && (alone || !now.takes_hot_plug))
    return hot_plugged_without_frontend[frontend];
  if (own == 3 && now.new_device)
    return added_while_initialised[frontend];
  if (own == 4 && frontend == 7 && now.connected && now.overtaken && now.takes_hot_plug)
    return 'u';
  const char letter = (now.connected ? connected : never_connected)[own][frontend];
  return letter == 'R' && now.given_up ? '.' : letter;
}

char actual(const situation& now, std::size_t own, std::size_t frontend) {
  xenbus_nodes nodes;
  nodes.exists = now.exists;
  nodes.backend = static_cast<xenbus_state>(own);
  nodes.frontend = static_cast<xenbus_state>(frontend);
  nodes.online = now.online;
  nodes.takes_hot_plug = now.takes_hot_plug;
  nodes.devices.push_back({0, xenbus_state::initialised, "0000:03:00.0"});
  if (now.going_device)
    nodes.devices.push_back({1, xenbus_state::closing, "0000:03:00.1"});
  if (now.new_device)
    nodes.devices.push_back({2, xenbus_state::initialising, "0000:03:00.2"});
  return letters.at(next_step(nodes, {.connected = now.connected,
                                      .domain_ending = now.ending,
                                      .domain_shut_down = now.shut_down,
                                      .domain_paused = now.paused,
                                      .unadopted = now.unadopted,
                                      .started_over = now.started_over,
                                      .frontend_waited_out = now.waited_out,
                                      .overtaken = now.overtaken,
                                      .uncalled = now.uncalled,
                                      .given_up = now.given_up}));
}

} // namespace

TEST_CASE("xenbus: every state against every state, whatever else is true") {
  for (unsigned bits = 0; bits < situations; ++bits) {
    const auto now = situation_of(bits);
    for (std::size_t own = 0; own < 9; ++own)
      for (std::size_t frontend = 0; frontend < 9; ++frontend) {
        CAPTURE(bits);
        CAPTURE(own);
        CAPTURE(frontend);
        CHECK(std::string{actual(now, own, frontend)} == std::string{expected(now, own, frontend)});
      }
  }
}

TEST_CASE("xenbus: what an earlier daemon did is told by the nodes") {
  const auto served = [](std::size_t own, std::size_t device) {
    xenbus_nodes nodes;
    nodes.exists = true;
    nodes.backend = static_cast<xenbus_state>(own);
    nodes.devices.push_back({0, static_cast<xenbus_state>(device), "0000:03:00.0"});
    return was_served(nodes);
  };
  for (std::size_t own = 0; own < 9; ++own)
    for (std::size_t device = 0; device < 9; ++device)
      CHECK(served(own, device) == (own == 4 || own >= 7 || device == 3 || device == 5));
  for (std::size_t own = 0; own < 9; ++own)
    for (std::size_t frontend = 0; frontend < 9; ++frontend) {
      xenbus_nodes nodes;
      nodes.backend = static_cast<xenbus_state>(own);
      nodes.frontend = static_cast<xenbus_state>(frontend);
      CHECK(was_connected(nodes) == ((own == 4 || own >= 7) && (frontend == 4 || frontend >= 7)));
    }
}

TEST_CASE("xenbus: a NetBSD guest that runs never sees 6, 7 or 8 by our doing") {
  // The steps that write 6 and 8 are answers to a frontend's own 6 and 7; none writes 7.
  for (unsigned bits = 0; bits < situations; ++bits) {
    const auto now = situation_of(bits);
    for (std::size_t own = 0; own < 9; ++own)
      for (std::size_t frontend = 0; frontend < 6; ++frontend) {
        const char letter = actual(now, own, frontend);
        CHECK(letter != 'd');
        CHECK(letter != 'r');
        CHECK(letter != 'u');
        // The 8 is there: NetBSD would have been lost before. Or a toolstack wrote 3.
        CHECK((letter != 'm' || own == 8 || own == 3));
      }
  }
}

TEST_CASE("xenbus: a step's outcome never calls for the same step again") {
  // What each step writes, and with it the loop "do the step, read again" ends.
  const std::map<char, std::size_t> writes{{'p', 2}, {'e', 3}, {'c', 4}, {'r', 8}, {'m', 4}, {'t', 4},
                                           {'x', 5}, {'d', 6}, {'R', 2}, {'s', 4}, {'u', 8}, {'o', 4}};
  for (unsigned bits = 0; bits < situations; ++bits) {
    const auto first = situation_of(bits);
    for (std::size_t own_first = 0; own_first < 9; ++own_first)
      for (std::size_t frontend = 0; frontend < 9; ++frontend) {
        auto now = first;
        std::size_t own = own_first;
        std::size_t steps = 0;
        for (char letter = actual(now, own, frontend); letter != '.' && letter != 'T'; ++steps) {
          REQUIRE(steps < 5);
          const bool again = letter == 'a' && (own == 4 || own >= 7) && (frontend == 4 || frontend >= 7);
          now.unadopted = now.unadopted && letter != 'a';
          now.connected = letter == 'c' || letter == 'o' || again ||
                          (now.connected && std::string("pexdRs").find(letter) == std::string::npos);
          now.started_over = now.started_over && letter != 'o';
          now.waited_out = now.waited_out && letter != 'r' && letter != 't' && letter != 'u';
          now.overtaken = letter == 't' ? now.connected : now.overtaken && letter != 'u' && letter != 'r';
          now.new_device = now.new_device && letter != 'n' && letter != 'e' && letter != 'r';
          now.uncalled = letter == 'p' || (now.uncalled && letter != 'i' && letter != 'c' && letter != 'o');
          const bool stays = letter == 'n' || letter == 'a' || letter == 'i' || (letter == 'o' && own != 3);
          own = stays ? own : writes.at(letter);
          letter = actual(now, own, frontend);
        }
      }
  }
}

TEST_CASE("xenbus: the normal sequences of spec 7.9") {
  struct move {
    std::size_t own, frontend;
    char step;
  };
  situation now{.exists = true,
                .connected = false,
                .ending = false,
                .waited_out = false,
                .given_up = false,
                .new_device = true,
                .going_device = false,
                .online = true,
                .shut_down = false,
                .paused = false,
                .overtaken = false,
                .takes_hot_plug = true,
                .started_over = false,
                .unadopted = false,
                .uncalled = false};
  const auto plays = [&](std::initializer_list<move> moves) {
    for (const auto& one : moves) {
      const auto own = one.own, frontend = one.frontend;
      const char step = one.step;
      CAPTURE(own);
      CAPTURE(frontend);
      CHECK(std::string{actual(now, own, frontend)} == std::string{step});
      now.connected = step == 'c' || (now.connected && step != 'x' && step != 'd' && step != 'R');
      now.new_device = now.new_device && step != 'e' && step != 'n' && step != 'r';
    }
  };
  plays({{1, 1, 'p'}, {2, 1, 'e'}, {3, 1, '.'}});
  now.new_device = true; // libxl adds the next one
  plays({{3, 1, 'n'}, {3, 1, '.'}, {3, 3, 'c'}, {4, 3, '.'}, {4, 4, '.'}});
  now.new_device = true; // pci-attach: the toolstack writes 7 and the guest answers
  plays({{7, 4, '.'}, {7, 7, 'r'}, {8, 7, '.'}, {8, 4, 'm'}, {4, 4, '.'}});
  plays({{4, 5, 'x'}, {5, 5, '.'}, {5, 6, 'd'}, {6, 6, '.'}});                           // shutdown in order
  plays({{6, 1, 'R'}, {2, 1, 'e'}, {3, 1, '.'}, {3, 3, 'c'}, {4, 4, '.'}});              // mini-os, kexec
  plays({{5, 4, '.'}, {5, 6, 'd'}, {6, 3, 'R'}, {2, 3, 'e'}, {3, 3, 'c'}, {4, 3, '.'}}); // driver reload
  now.overtaken = true; // a driver took its time to let go, and the hot-plug was ended without it
  plays({{4, 7, 'u'}, {8, 7, '.'}, {8, 4, 'm'}});
  now.shut_down = true; // the guest is off; xl takes its function before it destroys the domain
  plays({{6, 6, 's'}, {4, 6, '.'}, {7, 6, 't'}, {4, 6, '.'}});
  plays({{4, 0, 'T'}});
}

TEST_CASE("xenbus: states are decimal and everything else is unknown") {
  for (unsigned state = 0; state <= 8; ++state)
    CHECK(parse_state(std::to_string(state)) == static_cast<xenbus_state>(state));
  CHECK(parse_state("004") == xenbus_state::connected);
  for (const char* text : {"", " ", "9", "10", "-1", "+4", "4 ", " 4", "4\n", "0x4", "four", "4294967300",
                           "18446744073709551620", "99999999999999999999999999999999999999"})
    CHECK(parse_state(text) == xenbus_state::unknown);
  CHECK(parse_state(std::string_view{"4\0", 2}) == xenbus_state::unknown);
}

TEST_CASE("xenbus: numbers are digits up to the limit") {
  CHECK(parse_number("0", 0) == 0U);
  CHECK(parse_number("1", 0) == std::nullopt);
  CHECK(parse_number("128", 128) == 128U);
  CHECK(parse_number("129", 128) == std::nullopt);
  constexpr auto most = std::numeric_limits<std::uint32_t>::max();
  CHECK(parse_number("4294967295", most) == most);
  CHECK(parse_number("4294967296", most) == std::nullopt);
  CHECK(parse_number("", most) == std::nullopt);
  CHECK(parse_number("12a", most) == std::nullopt);
  CHECK(parse_number("/1", most) == std::nullopt);
  CHECK(parse_number(":1", most) == std::nullopt);
  CHECK(parse_number(std::string(100000, '0') + "7", most) == 7U);
}

TEST_CASE("xenbus: names of states and steps") {
  CHECK(to_string(xenbus_state::unknown) == "Unknown");
  CHECK(to_string(xenbus_state::initialising) == "Initialising");
  CHECK(to_string(xenbus_state::init_wait) == "InitWait");
  CHECK(to_string(xenbus_state::initialised) == "Initialised");
  CHECK(to_string(xenbus_state::connected) == "Connected");
  CHECK(to_string(xenbus_state::closing) == "Closing");
  CHECK(to_string(xenbus_state::closed) == "Closed");
  CHECK(to_string(xenbus_state::reconfiguring) == "Reconfiguring");
  CHECK(to_string(xenbus_state::reconfigured) == "Reconfigured");
  CHECK(to_string(static_cast<xenbus_state>(9)) == "Unknown");
  CHECK(to_string(xenbus_step::none) == "none");
  CHECK(to_string(xenbus_step::prepare) == "prepare");
  CHECK(to_string(xenbus_step::export_all) == "export_all");
  CHECK(to_string(xenbus_step::export_new) == "export_new");
  CHECK(to_string(xenbus_step::connect) == "connect");
  CHECK(to_string(xenbus_step::reconfigure) == "reconfigure");
  CHECK(to_string(xenbus_step::complete) == "complete");
  CHECK(to_string(xenbus_step::take_back) == "take_back");
  CHECK(to_string(xenbus_step::close) == "close");
  CHECK(to_string(xenbus_step::closed) == "closed");
  CHECK(to_string(xenbus_step::restart) == "restart");
  CHECK(to_string(xenbus_step::start_over) == "start_over");
  CHECK(to_string(xenbus_step::catch_up) == "catch_up");
  CHECK(to_string(xenbus_step::stand_in) == "stand_in");
  CHECK(to_string(xenbus_step::adopt) == "adopt");
  CHECK(to_string(xenbus_step::tear_down) == "tear_down");
  CHECK(to_string(static_cast<xenbus_step>(17)) == "none");
}

TEST_CASE("roots: what is not yet published is added behind it, the number last") {
  CHECK(node_write{"root-0", "0000:00"} != node_write{"root-0", "0000:01"});
  using roots = std::vector<topology::root>;
  CHECK(root_writes({}, {}, true).empty());
  CHECK(root_writes({}, {{0, 0}}, true) == std::vector<node_write>{{"root-0", "0000:00"}, {"root_num", "1"}});
  CHECK(root_writes({{0, 0}}, {{0, 0}}, true).empty());
  CHECK(root_writes({{0, 0}, {1, 2}}, {{1, 2}}, true).empty()); // never withdrawn
  CHECK(root_writes({{0, 3}}, {{0, 3}, {0x1a, 0xff}, {0, 5}, {0, 5}}, true) ==
        std::vector<node_write>{{"root-1", "001a:ff"}, {"root-2", "0000:05"}, {"root_num", "3"}});
  CHECK(root_writes(roots{{0, 3}}, roots{{1, 3}}, true).size() == 2);
  // Who has yet to look sees those that there are now.
  CHECK(root_writes({{0, 3}}, {{0, 3}}, false).empty());
  CHECK(root_writes({{0, 3}, {0, 5}}, {{0, 5}}, false) ==
        std::vector<node_write>{{"root-0", "0000:05"}, {"root_num", "1"}});
}
