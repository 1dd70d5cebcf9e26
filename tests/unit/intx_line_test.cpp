// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/intx_line.hpp"

#include <set>

#include <doctest/doctest.h>

using namespace pci;
using enum line_decision;

namespace {

const line_facts shared{.gsi = 21, .level = true, .dom0_handlers = 1, .functions = 2};

line_facts facts(unsigned gsi, bool level, unsigned handlers, unsigned functions) {
  return {.gsi = gsi, .level = level, .dom0_handlers = handlers, .functions = functions};
}

line_plan plan_of(const line_facts& of, line_policy policy = line_policy::acknowledge, bool messages_on = false,
                  bool enabled = true) {
  return decide({.facts = of, .policy = policy, .enabled = enabled, .messages_on = messages_on});
}

constexpr line_plan nothing(line_decision decision) { return {decision, false, false}; }

// Said another way than the table says it.
line_plan expected(const line_question& asked) {
  const auto& is = asked.facts;
  if (is.bridge)
    return nothing(bridge);
  if (is.gsi == 0 || !is.level)
    return nothing(is.gsi == 0 ? no_line : edge);
  const bool guests = is.guests > 1 && asked.policy == line_policy::acknowledge;
  if (is.dom0_handlers == 0 && !guests)
    return nothing(is.functions > 1 ? given : unshared);
  if (asked.policy != line_policy::acknowledge)
    return nothing(asked.policy == line_policy::refuse ? refuse : noirqdebug);
  if (!asked.enabled)
    return nothing(switched_off);
  if (asked.messages_on)
    return {messages, true, false};
  return is.domains_share ? line_plan{acknowledge, true, true} : line_plan{guest_absent, true, false};
}

} // namespace

TEST_CASE("interrupt line, row: a bridge is never acknowledged") {
  auto of = shared;
  of.bridge = true;
  CHECK(plan_of(of) == nothing(bridge));
  CHECK(plan_of(of, line_policy::refuse) == nothing(bridge));
}

TEST_CASE("interrupt line, row: irq 0, nothing is tried") {
  CHECK(plan_of(facts(0, true, 1, 2)) == nothing(no_line));
  CHECK(plan_of(facts(0, false, 0, 1)) == nothing(no_line));
  CHECK(plan_of(facts(0, true, 1, 2), line_policy::refuse) == nothing(no_line));
  CHECK(plan_of({}) == nothing(no_line));
}

TEST_CASE("interrupt line, row: edge") {
  CHECK(plan_of(facts(21, false, 0, 1)) == nothing(edge));
  CHECK(plan_of(facts(21, false, 7, 3)) == nothing(edge));
  CHECK(plan_of(facts(21, false, 7, 3), line_policy::noirqdebug) == nothing(edge));
}

TEST_CASE("interrupt line, row: level, and nothing else is on it") {
  CHECK(plan_of(facts(21, true, 0, 1)) == nothing(unshared));
  CHECK(plan_of(facts(21, true, 0, 1), line_policy::refuse) == nothing(unshared));
}

TEST_CASE("interrupt line, row: level and shared, but dom0 drives none of its functions") {
  CHECK(plan_of(facts(21, true, 0, 2)) == nothing(given));
  CHECK(plan_of(facts(21, true, 0, 5), line_policy::noirqdebug) == nothing(given));
}

TEST_CASE("interrupt line, rows: shared with dom0, by policy") {
  for (const bool messages_on : {false, true}) {
    CHECK(plan_of(shared, line_policy::refuse, messages_on) == nothing(refuse));
    CHECK(plan_of(shared, line_policy::noirqdebug, messages_on) == nothing(noirqdebug));
  }
  CHECK(plan_of(shared) == line_plan{acknowledge, true, true});
  // A USB controller that is no PCI function of its own counts too.
  CHECK(plan_of(facts(21, true, 2, 1)) == line_plan{acknowledge, true, true});
}

TEST_CASE("interrupt line, row: switched off by the administrator, dom0 takes no part") {
  CHECK(plan_of(shared, line_policy::acknowledge, false, false) == nothing(switched_off));
  CHECK(plan_of(shared, line_policy::acknowledge, true, false) == nothing(switched_off));
}

TEST_CASE("interrupt line, row: MSI or MSI-X is on, the handler stays and is silent") {
  CHECK(plan_of(shared, line_policy::acknowledge, true) == line_plan{messages, true, false});
}

TEST_CASE("interrupt line, row: Xen says that no other domain listens, INTx stays masked") {
  auto alone = shared;
  alone.domains_share = false;
  CHECK(plan_of(alone) == line_plan{guest_absent, true, false});
  CHECK(plan_of(alone, line_policy::acknowledge, true) == line_plan{messages, true, false});
}

TEST_CASE("interrupt line: every combination has its row") {
  std::set<line_decision> seen;
  for (unsigned bits = 0; bits < 1U << 7; ++bits)
    for (const auto policy : {line_policy::acknowledge, line_policy::noirqdebug, line_policy::refuse}) {
      CAPTURE(bits);
      line_question asked{.facts = facts((bits & 1) != 0 ? 21 : 0, (bits & 2) != 0, bits >> 2 & 1, 1 + (bits >> 3 & 1)),
                          .policy = policy,
                          .enabled = (bits & 16) != 0,
                          .messages_on = (bits & 32) != 0};
      asked.facts.domains_share = (bits & 64) != 0;
      for (const bool is_bridge : {false, true}) {
        asked.facts.bridge = is_bridge;
        CHECK(decide(asked) == expected(asked));
        seen.insert(decide(asked).decision);
      }
    }
  CHECK(seen.size() == 11);
}

TEST_CASE("interrupt line: the decisions in words, each its own") {
  CHECK(to_string(acknowledge) == "acknowledge");
  CHECK(to_string(no_line) == "no line");
  CHECK(to_string(edge) == "edge-triggered");
  CHECK(to_string(unshared) == "not shared with dom0");
  CHECK(to_string(given) == "shared, but not with dom0's drivers");
  CHECK(to_string(bridge) == "bridge");
  CHECK(to_string(messages) == "message interrupts");
  CHECK(to_string(guest_absent) == "no guest listens");
  CHECK(to_string(switched_off) == "switched off");
  CHECK(to_string(noirqdebug) == "noirqdebug");
  CHECK(to_string(refuse) == "refuse");
}

namespace {

intx_acknowledgement acknowledging(const line_facts& of = shared) {
  intx_acknowledgement line;
  line.begin(of, line_policy::acknowledge);
  line.set_handler(true);
  return line;
}

} // namespace

TEST_CASE("acknowledgement: nothing before the lease, without the handler, and after the end") {
  intx_acknowledgement line;
  CHECK_FALSE(line.leased());
  CHECK(line.plan().decision == no_line);
  CHECK_FALSE(line.interrupt(false).unmask);
  line.begin(shared, line_policy::acknowledge);
  CHECK(line.plan().decision == acknowledge);
  CHECK_FALSE(line.acknowledging(false)); // no handler could be had
  CHECK_FALSE(line.interrupt(false).unmask);
  CHECK(line.handled() == 0);
  line.set_handler(true);
  CHECK(line.acknowledging(false));
  CHECK(line.interrupt(false).unmask);
  CHECK(line.handled() == 1);
  line.end();
  CHECK_FALSE(line.interrupt(false).unmask);
  CHECK_FALSE(line.lets_through(false));
  CHECK(line.handled() == 1);
}

TEST_CASE("acknowledgement: INTx is unmasked when on and no messages are; each interrupt counts") {
  auto line = acknowledging();
  CHECK(line.interrupt(false).unmask);
  CHECK_FALSE(line.interrupt(true).unmask);
  CHECK(line.handled() == 2);
  CHECK_FALSE(line.acknowledging(true));
  // Off: the handler is about to go, and what it masked last must not stay so.
  line.set_enabled(false);
  CHECK(line.plan() == nothing(switched_off));
  CHECK(line.lets_through(false));
  CHECK_FALSE(line.lets_through(true));
}

TEST_CASE("acknowledgement: a new guest starts with it on, and the counter goes on") {
  auto line = acknowledging();
  CHECK(line.interrupt(false).unmask);
  line.set_enabled(false);
  line.end();
  line.begin(shared, line_policy::acknowledge);
  line.set_handler(true);
  CHECK(line.enabled());
  CHECK(line.interrupt(false).unmask);
  CHECK(line.handled() == 2);
}

TEST_CASE("acknowledgement: each 1000 interrupts the host's tables are asked") {
  auto line = acknowledging();
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 1; i < 1000; ++i)
      CHECK_FALSE(line.interrupt(false).check);
    CHECK(line.interrupt(false).check);
  }
}

TEST_CASE("acknowledgement: it turns itself off when the line is not shared any more, and on again") {
  auto line = acknowledging();
  auto alone = shared;
  alone.domains_share = false;
  CHECK_FALSE(line.update(shared));
  CHECK(line.update(alone));
  CHECK_FALSE(line.update(alone)); // told once
  CHECK(line.plan().decision == guest_absent);
  CHECK_FALSE(line.interrupt(false).unmask);
  CHECK(line.interrupt(false).check); // the guest may be back
  CHECK(line.update(shared));
  CHECK(line.interrupt(false).unmask);

  CHECK(line.update(facts(21, true, 0, 2)));
  CHECK(line.plan() == nothing(given));
  CHECK(line.lets_through(false));
}
