// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_world.hpp"

namespace model {

using namespace std::chrono_literals;
using test::disk;
using test::nic;

namespace {

std::vector<action> toolstack_actions() {
  return {
      {"toolstack builds A with the card", [](world& w) { return w.build(w.a, {nic}); }},
      {"toolstack builds A with both",
       [](world& w) {
         return w.build(w.a, {nic, disk});
       }},
      {"toolstack builds A with nothing", [](world& w) { return w.build(w.a, {}); }},
      {"toolstack builds B with the card", [](world& w) { return w.build(w.b, {nic}); }},
      {"toolstack builds B with nothing", [](world& w) { return w.build(w.b, {}); }},
      {"toolstack gives A the card", [](world& w) { return w.give(w.a, nic); }},
      {"toolstack gives A the disk", [](world& w) { return w.give(w.a, disk); }},
      {"somebody claims the card for B", [](world& w) { return w.claim_unasked(w.b, nic); }},
      {"toolstack begins to take the card from A", [](world& w) { return w.begin_taking(w.a, nic); }},
      {"toolstack begins to take the disk from A", [](world& w) { return w.begin_taking(w.a, disk); }},
      {"toolstack has taken the card from A", [](world& w) { return w.finish_taking(w.a, nic); }},
      {"toolstack has taken the disk from A", [](world& w) { return w.finish_taking(w.a, disk); }},
      {"toolstack forgets the card's nodes", [](world& w) { return w.forget_nodes(w.a, nic); }},
      {"toolstack removes A's backend directory", [](world& w) { return w.remove_backend(w.a); }},
      {"toolstack writes 7 to A for nothing", [](world& w) { return w.write_backend_state(w.a, "7"); }},
      {"toolstack says that A is online", [](world& w) { return w.say_online(w.a); }},
      {"toolstack pauses A", [](world& w) { return w.pause(w.a, true); }},
      {"toolstack lets A run", [](world& w) { return w.pause(w.a, false); }},
      {"toolstack destroys A", [](world& w) { return w.destroy(w.a); }},
      {"toolstack destroys B", [](world& w) { return w.destroy(w.b); }},
      {"Xen destroys A, whose directories stay", [](world& w) { return w.kill(w.a); }},
      {"toolstack removes A's home", [](world& w) { return w.remove_home(w.a); }},
  };
}

std::vector<action> guest_actions() {
  return {
      {"A loads its frontend", [](world& w) { return w.start_frontend(w.a); }},
      {"A reacts", [](world& w) { return w.react(w.a); }},
      {"A takes MSI-X of the card", [](world& w) { return w.take_msix(w.a, nic); }},
      {"A takes MSI of the card", [](world& w) { return w.take_msi(w.a, nic); }},
      {"A takes MSI-X of the disk", [](world& w) { return w.take_msix(w.a, disk); }},
      {"A gives the card's interrupts back", [](world& w) { return w.disable(w.a, nic); }},
      {"A asks for MSI-X and does not wait", [](world& w) { return w.leave_operation(w.a, nic); }},
      {"A writes Closing", [](world& w) { return w.write_own_state(w.a, "5"); }},
      {"A writes Closed", [](world& w) { return w.write_own_state(w.a, "6"); }},
      {"A writes Reconfiguring", [](world& w) { return w.write_own_state(w.a, "7"); }},
      {"A writes a state that is none", [](world& w) { return w.write_own_state(w.a, "0"); }},
      {"A begins again", [](world& w) { return w.begin_again(w.a); }},
      {"A removes its own nodes", [](world& w) { return w.remove_own_nodes(w.a); }},
      {"A's kernel ends", [](world& w) { return w.end_kernel(w.a); }},
      {"B loads its frontend", [](world& w) { return w.start_frontend(w.b); }},
      {"B reacts", [](world& w) { return w.react(w.b); }},
      {"B takes MSI-X of the card", [](world& w) { return w.take_msix(w.b, nic); }},
  };
}

std::vector<action> other_actions() {
  return {
      {"administrator attaches the card to A", [](world& w) { return w.ask_attach(w.a, nic); }},
      {"administrator attaches the disk to A", [](world& w) { return w.ask_attach(w.a, disk); }},
      {"administrator attaches the card to B", [](world& w) { return w.ask_attach(w.b, nic); }},
      {"administrator detaches the card from A", [](world& w) { return w.ask_detach(w.a, nic); }},
      {"administrator drains the card", [](world& w) { return w.ask_drain(nic); }},
      {"administrator drains A", [](world& w) { return w.ask_drain(w.a); }},
      {"administrator releases the card", [](world& w) { return w.ask_release(nic); }},
      {"administrator holds the card", [](world& w) { return w.ask_hold(nic); }},
      {"the card reports a non-fatal error", [](world& w) { return w.err(nic, pci::error_severity::nonfatal); }},
      {"the card reports a fatal error", [](world& w) { return w.err(nic, pci::error_severity::fatal); }},
      {"the card is pulled", [](world& w) { return w.pull(nic); }},
      {"the daemon is restarted", [](world& w) { return w.restart_daemon(); }},
      {"a patience passes", [](world& w) { return w.pass(2500ms); }},
  };
}

} // namespace

const std::vector<action>& actions() {
  static const std::vector<action> all = [] {
    auto joined = toolstack_actions();
    for (auto& more : {guest_actions(), other_actions()}) {
      joined.insert(joined.end(), more.begin(), more.end());
    }
    for (auto& each : joined) { // the daemon may have stopped a guest since the last move
      each.run = [run = std::move(each.run)](world& w) {
        w.notice_stops();
        return run(w);
      };
    }
    return joined;
  }();
  return all;
}

const action* find_action(const std::string& name) {
  const auto found = std::ranges::find(actions(), name, &action::name);
  return found == actions().end() ? nullptr : &*found;
}

} // namespace model
