// SPDX-License-Identifier: GPL-2.0-or-later
// Functions that share something with others: a page of memory (XSA-461), an interrupt line.
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::line_decision;
using platform::sim::builtin_model;
using platform::sim::domain_holdings;
using platform::sim::frontend;
using platform::sim::place;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto left = pci::make_sbdf(0, 0, 6, 0);
const auto right = pci::make_sbdf(0, 0, 7, 0);

actors::settings with_shared_pages() {
  actors::settings settings;
  settings.own(right).policy.share_pages = true;
  return settings;
}

/// Two cards whose only BARs, 2 KiB each, are the halves of a page.
struct one_page : two_cards {
  explicit one_page(actors::settings settings = {}) : two_cards(std::move(settings)) {
    add(left, 0xfe123000);
    add(right, 0xfe123800);
  }
  void add(const pci::sbdf& address, std::uint64_t start) {
    auto model = place(*builtin_model("e1000"), address);
    model.resources = {};
    model.resources[0] = {start, start + 0x7ff, pci::resource::memory};
    model.irq = 0;
    host.add_function(model, "e1000");
  }
  pci::result<void> grant(const pci::sbdf& what, domain_id domain) {
    return ask<void>(device(what), messages::grant_atom_v, domain);
  }
  pci::result<messages::lease> lease(const pci::sbdf& what, domain_id domain) {
    return ask<messages::lease>(device(what), messages::lease_atom_v, messages::lease_request{domain, false, {}, {}});
  }
  void check_refused(const pci::failure& why, const std::string& owner) {
    CHECK(why.error == EBUSY);
    for (const auto& words : {owner, pci::to_string(left), std::string{"share_pages = true"}}) {
      CHECK_MESSAGE(why.context.find(words) != std::string::npos, why.context);
    }
  }
};

struct one_page_for_all : one_page {
  one_page_for_all() : one_page(with_shared_pages()) {}
};

/// Two legacy cards on one line, which dom0 does not use.
struct one_line : two_cards {
  static actors::settings with_rate(unsigned rate) {
    actors::settings settings;
    settings.line_rate = rate;
    return settings;
  }
  one_line() : two_cards(with_rate(1000)) {
    for (const auto& each : {left, right}) {
      auto model = place(*builtin_model("e1000"), each);
      model.irq = line;
      model.level = true;
      host.add_function(model, "e1000");
      REQUIRE(hold(each));
    }
  }
  static constexpr unsigned line = 10;
  std::string holder(const pci::sbdf& address) { return host.xen().facts(address)->driver; }
};

} // namespace

TEST_CASE_FIXTURE(one_page, "XSA-461: two functions in one page do not go to two guests") {
  REQUIRE(hold(left));
  REQUIRE(hold(right));
  const auto web = host.create_domain("web");
  const auto mail = host.create_domain("mail");
  REQUIRE(grant(left, web));
  const auto owner = fmt::format("web ({}) has", web);
  check_refused(grant(right, mail).error(), owner);
  check_refused(lease(right, mail).error(), owner);
  check_refused(attach("mail", right).error(), owner);
  CHECK(host.xen().holdings(mail) == domain_holdings{});
  CHECK(function(right).state == function_state::held);
  // Both may be one guest's, and the other's when that has none of them any more.
  REQUIRE(grant(right, web));
  REQUIRE(ask<void>(device(right), messages::revoke_atom_v, web));
  CHECK(host.xen().holdings(web).frames == 1);
  CHECK_FALSE(grant(right, mail));
  REQUIRE(ask<void>(device(left), messages::revoke_atom_v, web));
  CHECK(grant(right, mail));
}

TEST_CASE_FIXTURE(one_page, "a function in a page that a driver of dom0 uses goes to no guest") {
  REQUIRE(hold(right));
  const auto web = host.create_domain("web");
  check_refused(grant(right, web).error(), "dom0's driver e1000 has");
  check_refused(lease(right, web).error(), "dom0's driver e1000 has");
  CHECK(host.xen().holdings(web) == domain_holdings{});
  REQUIRE(hold(left));
  REQUIRE(grant(right, web));
  // Nor does dom0 get the other back while the guest reaches it.
  const auto refused = release(left);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find(fmt::format("domain {}", web)) != std::string::npos);
  REQUIRE(ask<void>(device(right), messages::revoke_atom_v, web));
  CHECK(release(left));
}

TEST_CASE_FIXTURE(one_page, "an assignment that Xen refuses leaves no page behind") {
  REQUIRE(hold(left));
  REQUIRE(hold(right));
  const auto web = host.create_domain("web");
  const auto mail = host.create_domain("mail");
  host.xen().fail_call("assign_device", EPERM);
  REQUIRE_FALSE(grant(left, web));
  host.xen().fail_call("assign_device", 0);
  CHECK(grant(right, mail));
}

TEST_CASE_FIXTURE(one_page_for_all, "by its settings a function goes to a guest all the same") {
  const auto web = host.create_domain("web");
  REQUIRE(hold(right));
  REQUIRE(grant(right, web));
  REQUIRE(hold(left));
  const auto mail = host.create_domain("mail");
  CHECK_FALSE(grant(left, mail)); // its own settings do not say so
  REQUIRE(ask<void>(device(right), messages::revoke_atom_v, web));
  REQUIRE(grant(left, mail));
  CHECK(grant(right, web));
}

TEST_CASE_FIXTURE(one_line,
                  "XSA-461: two guests on one line: shown, and acknowledged by dom0, which limits the one's storm") {
  const auto web = boot("web", {left});
  frontend first(host, web, *this);
  REQUIRE(first.connect());
  CHECK(holder(left) == "pci-stub");
  CHECK(function(left).line_guests.empty());
  const auto mail = boot("mail", {right});
  frontend second(host, mail, *this);
  REQUIRE(second.connect());
  advance(21s); // the first is looked at now and then
  for (const auto& [each, other] : {std::pair{left, mail}, std::pair{right, web}}) {
    CAPTURE(pci::to_string(each));
    CHECK(holder(each) == "uio_pci_generic");
    CHECK(function(each).line == line_decision::acknowledge);
    CHECK(function(each).line_guests == std::vector{other});
    CHECK(function(each).detail == fmt::format("its interrupt line 10 is shared with domain {}", other));
  }
  REQUIRE(first.bind_pirq(line));
  REQUIRE(second.bind_pirq(line));
  REQUIRE(first.write(first_slot, 4, 2, pci::reg::command_memory | pci::reg::command_master).good());
  // The first card raises without end, its guest serves nothing.
  const auto before = host.xen().received(mail, line);
  host.xen().raise_intx(left);
  for (int i = 0; i < 10000; ++i) {
    host.xen().lower_intx(left);
    host.xen().raise_intx(left);
    run();
    host.time().advance(1us);
  }
  CHECK(function(left).storms > 0);
  CHECK(host.xen().received(mail, line) - before < 2000);
  host.xen().lower_intx(left);
  first.unbind_pirq(line);
  host.toolstack_destroy(web);
  run();
  check_clean(left);
  advance(21s);
  CHECK(holder(right) == "pci-stub");
  CHECK(function(right).detail.find("shared") == std::string::npos);
}

TEST_SUITE_END();
