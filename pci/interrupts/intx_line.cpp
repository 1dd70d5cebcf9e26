// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/intx_line.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace pci {
namespace {

/// One condition of a row.
enum class is : std::uint8_t { any, no, yes };

bool fits(is condition, bool value) { return condition == is::any || (condition == is::yes) == value; }

struct row {
  is bridge;
  is line;   ///< has one
  is level;  ///< triggered
  is used;   ///< with dom0's drivers or, where it is acknowledged, with another guest
  is others; ///< functions are on it
  std::optional<line_policy> policy;
  is enabled;       ///< by the administrator
  is messages;      ///< MSI or MSI-X is on
  is domains_share; ///< in Xen's eyes
  line_plan then;
};

constexpr auto any = is::any;
constexpr auto no = is::no;
constexpr auto yes = is::yes;
constexpr std::optional<line_policy> any_policy;
constexpr auto acknowledge = line_policy::acknowledge;

using to = line_decision;

// clang-format off
constexpr std::array table{
    //  bridge line level used others policy                   enabled msi  share    decision           handler unmask
    row{yes,   any, any,  any, any,   any_policy,              any,    any, any,    {to::bridge,        false,  false}},
    row{no,    no,  any,  any, any,   any_policy,              any,    any, any,    {to::no_line,       false,  false}},
    row{no,    yes, no,   any, any,   any_policy,              any,    any, any,    {to::edge,          false,  false}},
    row{no,    yes, yes,  no,  no,    any_policy,              any,    any, any,    {to::unshared,      false,  false}},
    row{no,    yes, yes,  no,  yes,   any_policy,              any,    any, any,    {to::given,         false,  false}},
    row{no,    yes, yes,  yes, any,   line_policy::refuse,     any,    any, any,    {to::refuse,        false,  false}},
    row{no,    yes, yes,  yes, any,   line_policy::noirqdebug, any,    any, any,    {to::noirqdebug,    false,  false}},
    row{no,    yes, yes,  yes, any,   acknowledge,             no,     any, any,    {to::switched_off,  false,  false}},
    row{no,    yes, yes,  yes, any,   acknowledge,             yes,    yes, any,    {to::messages,      true,   false}},
    row{no,    yes, yes,  yes, any,   acknowledge,             yes,    no,  no,     {to::guest_absent,  true,   false}},
    row{no,    yes, yes,  yes, any,   acknowledge,             yes,    no,  yes,    {to::acknowledge,   true,   true}},
};
// clang-format on

bool fits(const row& row, const line_question& asked) {
  const auto& facts = asked.facts;
  // Guests that share a line need dom0 for the sake of the storm limiter alone; the other policies are about dom0.
  const bool used = facts.dom0_handlers != 0 || (facts.guests > 1 && asked.policy == line_policy::acknowledge);
  return fits(row.bridge, facts.bridge) && fits(row.line, facts.gsi != 0) && fits(row.level, facts.level) &&
         fits(row.used, used) && fits(row.others, facts.functions > 1) &&
         (!row.policy || *row.policy == asked.policy) && fits(row.enabled, asked.enabled) &&
         fits(row.messages, asked.messages_on) && fits(row.domains_share, facts.domains_share);
}

} // namespace

line_plan decide(const line_question& question) {
  const auto* const found =
      std::find_if(table.begin(), table.end(), [&](const row& row) { return fits(row, question); });
  return found == table.end() ? line_plan{} : found->then;
}

std::string_view to_string(line_decision decision) {
  static constexpr std::array<std::string_view, 11> words{"acknowledge",
                                                          "no line",
                                                          "edge-triggered",
                                                          "not shared with dom0",
                                                          "shared, but not with dom0's drivers",
                                                          "bridge",
                                                          "message interrupts",
                                                          "no guest listens",
                                                          "switched off",
                                                          "noirqdebug",
                                                          "refuse"};
  const auto index = static_cast<std::size_t>(decision);
  return index < words.size() ? words.at(index) : "?";
}

void intx_acknowledgement::begin(const line_facts& facts, line_policy policy) {
  question_ = {.facts = facts, .policy = policy};
  leased_ = true;
  handler_ = false;
}

void intx_acknowledgement::end() {
  leased_ = false;
  handler_ = false;
}

bool intx_acknowledgement::update(const line_facts& facts) {
  const auto before = plan();
  question_.facts = facts;
  return plan() != before;
}

line_plan intx_acknowledgement::plan(bool messages_on) const {
  auto question = question_;
  question.messages_on = messages_on;
  return decide(question);
}

// Without a handler nothing but a past one can have masked it: whatever the plan, nothing would ever unmask it.
bool intx_acknowledgement::lets_through(bool messages_on) const {
  const auto now = plan(messages_on);
  return leased_ && !messages_on && (now.unmask || !now.handler);
}

intx_acknowledgement::verdict intx_acknowledgement::interrupt(bool messages_on) {
  if (!leased_ || !handler_) {
    return {}; // a last one that was on its way when the lease ended: INTx stays masked
  }
  ++handled_;
  // A guest that was absent may be back: it asked for this one.
  const auto absent = plan(messages_on).decision == line_decision::guest_absent;
  return {.unmask = lets_through(messages_on), .check = absent || handled_ % check_interval == 0};
}

} // namespace pci
