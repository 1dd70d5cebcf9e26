// SPDX-License-Identifier: GPL-2.0-or-later
// Every order of events, to a depth: what toolstack, guests, administrator and time can do is generated and played on
// the simulated host, and what must always be true is checked after each move.
#include <cstdlib>
#include <map>

#include "model_explorer.hpp"

using namespace model;

TEST_SUITE_BEGIN("model");

namespace {

// Optimised, both explorations together take half a minute; unoptimised, or with a sanitizer, many times that.
#ifdef NDEBUG
constexpr unsigned depth = 2;
const std::vector<unsigned> head_starts{0, 2, 5, 9};
#else
constexpr unsigned depth = 1;
const std::vector<unsigned> head_starts{5};
#endif

/// PCIBACKD_MODEL_DEPTH adds moves to every exploration; each costs some twenty times more.
unsigned deeper() {
  const auto* text = std::getenv("PCIBACKD_MODEL_DEPTH");
  return text == nullptr ? 0 : pci::parse_number(text, 8).value_or(0);
}

/// PCIBACKD_MODEL_FROM names the one beginning that is wanted.
bool wanted(const std::string& where) {
  const auto* name = std::getenv("PCIBACKD_MODEL_FROM");
  return name == nullptr || where == name;
}

/// Where explorations begin: what many guests look like at one time or another.
const std::map<std::string, std::vector<std::string>>& beginnings() {
  static const std::map<std::string, std::vector<std::string>> all{
      {"nobody", {}},
      {"connected", {"toolstack builds A with the card", "A loads its frontend", "A reacts"}},
      {"MSI-X on",
       {"toolstack builds A with the card", "A loads its frontend", "A reacts", "A takes MSI-X of the card"}},
      {"leaving",
       {"toolstack builds A with both", "A loads its frontend", "A reacts", "A takes MSI-X of the card",
        "toolstack begins to take the card from A"}},
      {"arriving",
       {"toolstack builds A with the card", "A loads its frontend", "A reacts", "A takes MSI of the card",
        "toolstack gives A the disk"}},
      {"half way",
       {"toolstack builds A with both", "A loads its frontend", "A reacts", "A takes MSI-X of the card",
        "toolstack begins to take the card from A", "A reacts"}},
      {"closed",
       {"toolstack builds A with the card", "A loads its frontend", "A reacts", "A takes MSI-X of the card",
        "A writes Closing", "A writes Closed"}},
  };
  return all;
}

void check_explored(const explorer& done) {
  MESSAGE(done.total().worlds << " worlds, " << done.total().moves << " moves, " << done.total().plays << " replays");
  CHECK_MESSAGE(done.report().empty(), done.report());
}

/// Races from every other beginning, first that of this number: halves, so that two processes can share the work.
void check_raced(std::size_t number) {
  explorer all;
  for (const auto& [where, moves] : beginnings()) {
    if (number++ % 2 == 0 && wanted(where)) {
      all.race(sequence_of(moves), head_starts);
    }
  }
  check_explored(all);
}

/// As the explorer prints it.
void check_sequence(const std::vector<std::string>& names, std::optional<unsigned> steps = {}) {
  const auto moves = sequence_of(names);
  CAPTURE(to_text(moves));
  CAPTURE(steps.value_or(0));
  const auto found = play(moves, steps);
  CHECK_MESSAGE(found.empty(), fmt::format("{}", fmt::join(found, "; ")));
}

} // namespace

TEST_CASE("libxl's note of a function does not outlive its domain, whoever removed the directory") {
  check_sequence({"toolstack builds A with the card", "A loads its frontend", "A reacts",
                  "toolstack removes A's backend directory", "toolstack destroys A"});
}

TEST_CASE("an error node goes with the directory that it is about") {
  check_sequence({"toolstack builds A with the card", "A loads its frontend", "A reacts", "the card is pulled",
                  "toolstack has taken the card from A"});
}

TEST_CASE("a function that a guest has when it is held is not clean, and can be held when the guest has ended") {
  check_sequence({"toolstack builds A with the card", "A loads its frontend", "A reacts", "toolstack gives A the disk",
                  "toolstack removes A's home", "the daemon is restarted"});
}

TEST_CASE("a guest that takes its state away and comes again has in Xen what it is leased") {
  for (const auto* away : {"A writes a state that is none", "A removes its own nodes", "A writes Closed"}) {
    check_sequence({"toolstack builds A with the card", "A loads its frontend", "A reacts", away, "A begins again",
                    "toolstack says that A is online", "A loads its frontend", "A reacts"});
  }
}

TEST_CASE("a domain that dies while its guest is forgotten leaves nothing") {
  for (unsigned steps = 0; steps < 20; ++steps) {
    check_sequence({"toolstack builds A with the card", "A loads its frontend", "A reacts", "A takes MSI-X of the card",
                    "toolstack removes A's home", "toolstack destroys A"},
                   steps);
  }
}

TEST_CASE("what a toolstack could not give after all is no way to the MSI-X table while it is prepared anew") {
  check_sequence({"toolstack builds A with the card", "A loads its frontend", "A reacts", "A takes MSI-X of the card",
                  "toolstack has taken the card from A", "toolstack builds B with the card"},
                 0);
}

TEST_CASE("a function that a toolstack has begun to hand out is not released") {
  for (unsigned steps = 0; steps < 20; ++steps) {
    check_sequence({"administrator releases the card", "toolstack builds A with the card"}, steps);
  }
}

TEST_CASE("every order of a few moves, from where guests often are") {
  explorer all;
  for (const auto& [where, moves] : beginnings()) {
    if (wanted(where)) {
      all.explore(sequence_of(moves), depth + deeper());
    }
  }
  check_explored(all);
}

TEST_CASE("every two moves at once, the second while the daemon works on the first") { check_raced(0); }

TEST_CASE("every two moves at once, from the other beginnings") { check_raced(1); }

TEST_SUITE_END();
