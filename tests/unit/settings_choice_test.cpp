// SPDX-License-Identifier: GPL-2.0-or-later
// What of the settings holds for a function.
#include "config/settings.hpp"

#include <doctest/doctest.h>

namespace {

const auto first = pci::make_sbdf(0, 3, 0, 0), second = pci::make_sbdf(0, 4, 0, 0), third = pci::make_sbdf(0, 5, 1, 0);

/// The settings as the actors have them.
pci::settings settings_from(std::string_view text) { return config::parse(text, "f.toml").value(); }

const pci::settings& chosen_from() {
  static const auto all = settings_from(R"toml(hide = "(03:00.0)(04:00.0)(05:*.*)"
[[device]]
address = "03:00.0"
seize = true
[[device]]
address = "03:00.0"
class = "02"
permissive = true
[[device]]
ids = "8086:*"
hold = false
[[device]]
address = "06:00.0"
class = "02"
[[assign]]
domain = "web"
devices = ["03:00.0"]
)toml");
  return all;
}

pci::identity card(const pci::sbdf& address, std::uint32_t class_code = 0x010000, std::uint16_t vendor = 0x1b36) {
  return {address, vendor, 1, class_code};
}

} // namespace

TEST_CASE("settings: of all that matches a function the most exact counts, and of those the first") {
  const auto& all = chosen_from();
  CHECK(all.find(card(first, 0x020000))->policy.permissive);
  CHECK(all.find(card(first))->seize);
  CHECK_FALSE(all.find(card(second))->seize); // hide=, as a [[device]] that says no more
  CHECK(all.find(card(second))->hold);
  CHECK(all.find(card(third))->hold);
  CHECK(all.find(card(third, 0x020000, 0x8086))->hold); // where counts more than what
  CHECK(all.find(card(pci::make_sbdf(0, 7, 0, 0))) == nullptr);
  CHECK_FALSE(all.find(card(pci::make_sbdf(0, 7, 0, 0), 0x020000, 0x8086))->hold);
}

TEST_CASE("settings: what is set for an address alone, and which addresses are mentioned at all") {
  const auto& all = chosen_from();
  const auto with_class = pci::make_sbdf(0, 6, 0, 0);
  CHECK(all.named(first)->seize);
  CHECK(all.named(second) != nullptr);
  CHECK(all.named(third) == nullptr); // by a pattern
  CHECK(all.named(with_class) == nullptr);
  CHECK(all.named_addresses() == std::vector{first, second});
  CHECK(all.mentions(first));
  CHECK(all.mentions(second));
  CHECK(all.mentions(with_class));
  CHECK_FALSE(all.mentions(third));
  CHECK(all.hides(first));
  CHECK_FALSE(all.hides(third));
  REQUIRE(all.assignments.size() == 1);
  CHECK(all.assignments.front().domain == "web");
}

TEST_CASE("settings: a [[device]] of an address alone is changed where there is one, and else added") {
  auto all = chosen_from();
  const auto before = all.devices.size();
  all.own(first).hold = false;
  CHECK(all.devices.size() == before);
  CHECK_FALSE(all.named(first)->hold);
  CHECK(all.find(card(first, 0x020000))->hold); // the more exact one is another
  all.own(third).seize = true;
  CHECK(all.devices.size() == before + 1);
  CHECK(all.find(card(third))->seize); // more exact than hide='s pattern
}

TEST_CASE("settings: what holds for all functions is added to each one's policy") {
  auto all = chosen_from();
  const auto& plain = *all.named(first);
  CHECK_FALSE(plain.policy_with(all).permissive);
  all.permissive = true;
  CHECK(all.named(first)->policy_with(all).permissive);
  CHECK(all.named(first)->policy_with(all).msix);
}
