// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "two_cards.hpp"

namespace test {

inline constexpr auto neighbour = pci::make_sbdf(0, 0, 5, 0);
inline constexpr unsigned gsi = 22;

/// dom0 has a card on the network card's line.
struct shared_line : two_cards {
  explicit shared_line(actors::settings settings = {}) : two_cards(std::move(settings)) {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), neighbour), "e1000e", true);
  }
  void start_guest() {
    REQUIRE(hold(nic));
    domain = boot("guest", {nic});
    guest.emplace(host, domain, *this);
    REQUIRE(guest->connect());
    CHECK(guest->bind_pirq(gsi));
    REQUIRE(guest->write(first_slot, 4, 2, pci::reg::command_memory | pci::reg::command_master).good());
  }
  pci::result<void> acknowledge(bool on) { return ask_device<void>(nic, messages::acknowledge_atom_v, on); }
  bool masked() { return (hardware(nic, 4, 2) & pci::reg::command_intx_disable) != 0; }
  std::string holder() { return host.xen().facts(nic)->driver; }
  /// What the journal says of the function.
  actors::function_record noted() { return all->journal->find(nic).value(); }
  bool gives_up_lines() { return host.lines().gives_up_lines().value(); }
  /// The guest's driver has served it before the next.
  void interrupt() {
    host.xen().raise_intx(nic);
    host.xen().lower_intx(nic);
    run();
  }
  void interrupts(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      interrupt();
      advance(std::chrono::microseconds(100));
    }
  }
  /// Whether dom0's own card gets its interrupts.
  bool dom0_works() {
    const auto before = host.xen().facts(neighbour)->line_interrupts;
    host.xen().raise_intx(neighbour);
    host.xen().lower_intx(neighbour);
    run();
    return host.xen().facts(neighbour)->line_interrupts == before + 1;
  }
  bool guest_works() {
    const auto before = guest->interrupts(gsi);
    interrupt();
    return guest->interrupts(gsi) == before + 1 && !masked();
  }
  domain_id domain = 0;
  std::optional<platform::sim::frontend> guest;
};

} // namespace test
