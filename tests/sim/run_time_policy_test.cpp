// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest may do with a function, switched at run time, and how long that holds.
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using pci::quirk;
using pci::write_mode;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

// The e1000e's Express capability stands at e0: Device Control, which has a rule for nobody.
constexpr std::uint16_t device_control = 0xe8;

struct policy_guest : two_cards {
  explicit policy_guest(actors::settings settings = {}) : two_cards(std::move(settings)) { REQUIRE(hold(nic)); }

  void start() {
    domain = boot("guest", {nic});
    other = hardware(nic, device_control, 2) ^ 0x0010U;
    guest.emplace(host, domain, *this);
    REQUIRE(guest->connect());
  }
  void end() {
    guest.reset();
    host.toolstack_destroy(domain);
    run();
    REQUIRE(wait_until_held(nic));
  }
  bool write(std::uint16_t offset, std::uint32_t value) {
    const auto before = hardware(nic, offset, 2);
    REQUIRE(before != value);
    CHECK(guest->write(first_slot, offset, 2, value).error == 0);
    return hardware(nic, offset, 2) != before;
  }
  pci::result<void> change(const pci::policy_change& what) {
    return ask_device<void>(nic, messages::policy_atom_v, what);
  }
  messages::register_account registers() {
    return ask_device<messages::register_account>(nic, messages::registers_atom_v).value();
  }
  domain_id domain = 0;
  std::uint32_t other = 0; ///< than DEVICE_CONTROL has, by the one bit
  std::optional<frontend> guest;
};

actors::settings settings_with(pci::policy policy, bool keep = false) {
  actors::settings settings;
  auto& wanted = settings.own(nic);
  wanted.policy = std::move(policy);
  wanted.seize = true;
  wanted.keep_policy = keep;
  return settings;
}

struct kept : policy_guest {
  kept() : policy_guest(settings_with({.quirks = {{device_control, 2, 0x0010}}}, true)) {}
};

struct permissive_settings : policy_guest {
  permissive_settings() : policy_guest(settings_with({.permissive = true})) {}
};

} // namespace

TEST_CASE_FIXTURE(policy_guest, "what a guest writes in vain is told, and its suggestion lets it write") {
  start();
  CHECK(function(nic).writes == write_mode::strict);
  CHECK_FALSE(write(device_control, other));
  CHECK(function(nic).refused_writes == 1);
  const auto account = registers();
  REQUIRE(account.last.size() == 1);
  CHECK(account.last[0].name == "Express+8 (Device Control)");
  CHECK(account.suggested == std::vector<quirk>{{device_control, 2, 0x0010}});
  CHECK(account.fields.size() > 20);
  REQUIRE(change({.open = account.suggested[0]}));
  CHECK(function(nic).writes == write_mode::listed);
  CHECK(function(nic).quirks == account.suggested);
  CHECK(registers().fields.size() == account.fields.size() + 1);
  CHECK(write(device_control, other));
  CHECK(function(nic).refused_writes == 1);
}

TEST_CASE_FIXTURE(policy_guest,
                  "what is switched at run time ends with the lease, and what was refused is still told") {
  start();
  CHECK_FALSE(write(device_control, other));
  REQUIRE(change({.permissive = true, .interrupt_control = true, .open = quirk{0x104, 4, 0xff}}));
  CHECK(function(nic).writes == write_mode::all);
  CHECK(function(nic).permissive);
  CHECK(function(nic).interrupt_control);
  CHECK(write(device_control, other));
  end();
  const auto after = function(nic);
  CHECK(after.writes == write_mode::strict);
  CHECK_FALSE(after.permissive);
  CHECK_FALSE(after.interrupt_control);
  CHECK(after.quirks.empty());
  CHECK(after.refused_writes == 1);
  CHECK(registers().last.size() == 1);
  start();
  CHECK(function(nic).refused_writes == 0);
  CHECK_FALSE(write(device_control, other));
  end();
}

TEST_CASE_FIXTURE(policy_guest, "what is switched before the lease is the lease's, for one guest") {
  REQUIRE(change({.permissive = true}));
  CHECK(function(nic).writes == write_mode::all);
  start();
  CHECK(write(device_control, other));
  end();
  start();
  CHECK(function(nic).writes == write_mode::strict);
  CHECK_FALSE(write(device_control, other));
  end();
}

TEST_CASE_FIXTURE(policy_guest, "what the toolstack's options ask for can be taken back") {
  domain = host.create_domain("guest");
  REQUIRE(host.toolstack_attach(domain, nic, true));
  REQUIRE(host.xenstore().write(platform::sim::backend_path(domain) + "/opts-0", "msitranslate=0,permissive=1"));
  run();
  other = hardware(nic, device_control, 2) ^ 0x0010U;
  guest.emplace(host, domain, *this);
  REQUIRE(guest->connect());
  CHECK(function(nic).writes == write_mode::all);
  REQUIRE(change({.permissive = false}));
  CHECK(function(nic).writes == write_mode::strict);
  CHECK_FALSE(write(device_control, other));
  end();
}

TEST_CASE_FIXTURE(kept, "the settings can keep what is switched until the function is released") {
  CHECK(function(nic).writes == write_mode::listed);
  REQUIRE(change({.permissive = true}));
  REQUIRE(change({.close = device_control}));
  start();
  end();
  CHECK(function(nic).writes == write_mode::all);
  CHECK(function(nic).quirks.empty());
  REQUIRE(release(nic));
  run();
  REQUIRE(hold(nic));
  CHECK(function(nic).writes == write_mode::listed);
}

TEST_CASE_FIXTURE(permissive_settings, "what the settings say holds for each guest, whatever was switched in between") {
  start();
  REQUIRE(change({.permissive = false}));
  CHECK_FALSE(write(device_control, other));
  end();
  start();
  CHECK(write(device_control, other));
  end();
}

TEST_CASE_FIXTURE(policy_guest, "a quirk that cannot be had is refused with the reason") {
  const auto refused = change({.open = quirk{0x04, 2, 0xffff}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EINVAL);
  CHECK(refused.error().context.find("4:2:ffff") != std::string::npos);
  CHECK(change({.close = 0x50}).error().error == ENOENT);
  CHECK(function(nic).quirks.empty());
  CHECK(ask_device<void>(disk, messages::policy_atom_v, pci::policy_change{.permissive = true}).error().error ==
        ENODEV);
  CHECK(ask_device<messages::register_account>(disk, messages::registers_atom_v).error().error == ENODEV);
}

TEST_CASE_FIXTURE(policy_guest, "a function is released without a driver when whoever asks will choose one") {
  REQUIRE(ask<void>(root, messages::release_atom_v, nic, false));
  CHECK(host.xen().facts(nic)->driver.empty());
  CHECK(host.xen().facts(nic)->owner == 0);
  REQUIRE(hold(nic));
  REQUIRE(release(nic));
  CHECK(host.xen().facts(nic)->driver == "e1000e");
}

TEST_SUITE_END();
