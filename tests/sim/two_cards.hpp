// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "deterministic.hpp"
#include "pci/config_space/registers.hpp"
#include "platform/sim/driver.hpp"
#include "sim_support.hpp"

/// The daemon on a simulated host with a network card and a disk, which dom0's drivers have.
namespace test {

inline constexpr auto nic = pci::make_sbdf(0, 0, 3, 0);
inline constexpr auto disk = pci::make_sbdf(0, 0, 4, 0);
inline constexpr auto first_slot = pci::make_sbdf(0, 0, 0, 0);
inline constexpr auto second_slot = pci::make_sbdf(0, 0, 1, 0);

/// Guests named netbsd are told what NetBSD has to be told.
inline actors::settings with_netbsd() {
  actors::settings all;
  all.guests.push_back({"netbsd", false});
  return all;
}

struct two_cards : deterministic_daemon {
  using domain_id = messages::domain_id;

  explicit two_cards(actors::settings settings = {}) : deterministic_daemon(std::move(settings)) {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "e1000e");
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "nvme");
  }
  ~two_cards() override {
    CHECK_MESSAGE(violations.texts.empty(), fmt::format("{}", fmt::join(violations.texts, "; ")));
  }

  /// A domain that the toolstack builds with these functions, which are held already.
  domain_id boot(const std::string& name, std::initializer_list<pci::sbdf> functions) {
    const auto domain = host.create_domain(name);
    for (const auto& each : functions) {
      const auto attached = host.toolstack_attach(domain, each, true);
      REQUIRE(attached);
      run();
    }
    return domain;
  }
  messages::device_actor device(const pci::sbdf& address) {
    return ask<messages::device_actor>(root, messages::find_atom_v, address).value();
  }
  /// A node's value; empty when it is not there.
  std::string node(const std::string& path) { return host.tools().read(path).value_or(std::string{}); }
  std::string backend(domain_id domain, const std::string& name) {
    return node(platform::sim::backend_path(domain) + "/" + name);
  }
  std::string error_node(domain_id domain) {
    return node(fmt::format("/local/domain/0/error/backend/pci/{}/0/error", domain));
  }
  bool backend_exists(domain_id domain) {
    return host.tools().list(fmt::format("/local/domain/0/backend/pci/{}", domain)).has_value();
  }
  messages::domain_status guest_status(domain_id domain) {
    for (const auto& each : status().domains) {
      if (each.domain == domain) {
        return each;
      }
    }
    return {};
  }

  /// What the hardware says, past the daemon.
  std::uint32_t hardware(const pci::sbdf& address, std::uint16_t offset, unsigned width) {
    return host.xen().config_read(address, 0, offset, width).value_or(0xffffffff);
  }
  std::uint16_t capability(const pci::sbdf& address, std::uint8_t id) {
    auto at = hardware(address, 0x34, 1);
    for (int steps = 0; at != 0 && steps < 48; ++steps) {
      if (hardware(address, static_cast<std::uint16_t>(at), 1) == id) {
        return static_cast<std::uint16_t>(at);
      }
      at = hardware(address, static_cast<std::uint16_t>(at + 1), 1);
    }
    return 0;
  }
  bool msix_on(const pci::sbdf& address) {
    const auto at = capability(address, pci::reg::cap_msix);
    return at != 0 && (hardware(address, static_cast<std::uint16_t>(at + 2), 2) & pci::reg::msix_enable) != 0;
  }
  bool msi_on(const pci::sbdf& address) {
    const auto at = capability(address, pci::reg::cap_msi);
    return at != 0 && (hardware(address, static_cast<std::uint16_t>(at + 2), 2) & pci::reg::msi_enable) != 0;
  }
  pci::result<void> retry(const pci::sbdf& address) { return ask_device<void>(address, messages::retry_atom_v); }
  pci::result<void> drain(const pci::sbdf& address) { return ask<void>(root, messages::drain_atom_v, address); }
  pci::result<void> drain(const std::string& domain) {
    return find_guest(domain).and_then([&](domain_id id) { return ask<void>(root, messages::drain_atom_v, id); });
  }
  bool masters(const pci::sbdf& address) { return (hardware(address, 4, 2) & pci::reg::command_master) != 0; }

  /// Free for the next guest, and nothing left of the last.
  void check_clean(const pci::sbdf& address) {
    CAPTURE(pci::to_string(address));
    CHECK(wait_until_held(address));
    CHECK_FALSE(masters(address));
    CHECK_FALSE(msix_on(address));
    CHECK_FALSE(msi_on(address));
    const auto facts = host.xen().facts(address);
    REQUIRE(facts);
    CHECK(facts->owner == platform::domid_io);
    CHECK(facts->vectors == 0);
    CHECK_FALSE(facts->poisoned);
    const auto seen = function(address);
    CHECK_FALSE(seen.domain);
    CHECK(seen.vectors.empty());
    CHECK(seen.mode == pci::interrupt_mode::intx);
  }
  /// Xen has forgotten the domain: no zombie, nothing mapped, and xenstore has nothing of it.
  void check_forgotten(domain_id domain) {
    CAPTURE(domain);
    CHECK_FALSE(host.xen().domain(domain));
    CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
    CHECK(host.grant_table().mapped(domain) == 0);
    CHECK_FALSE(backend_exists(domain));
    CHECK(guest_status(domain).domain == 0);
  }
  std::size_t holding_pirqs(domain_id domain) { return host.xen().holdings(domain).message_pirqs.size(); }

  /// Serves a guest's xenbus while the toolstack's own wait goes on.
  bool serve(platform::sim::frontend& guest, const std::function<bool()>& until,
             std::chrono::nanoseconds limit = std::chrono::seconds(15)) {
    const auto end = host.time().now() + limit;
    while (!until() && host.time().now() < end) {
      guest.service();
      run();
      if (!until()) {
        advance(std::chrono::milliseconds(5));
      }
    }
    return until();
  }

  sim_test::violations violations;
};

} // namespace test
