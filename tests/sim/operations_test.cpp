// SPDX-License-Identifier: GPL-2.0-or-later
// Each operation of the shared page, through the whole daemon.
#include "two_cards.hpp"

using namespace test;
using pci::op_code;
using pci::op_error;
using platform::sim::driver;
using platform::sim::frontend;
using platform::sim::reply;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr auto error = [](op_error which) { return static_cast<std::int32_t>(which); };

/// One guest that has both cards: the network card first.
struct one_guest : two_cards {
  explicit one_guest(actors::settings settings = {}) : two_cards(std::move(settings)) {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("guest", {nic, disk});
    guest.emplace(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(guest->functions().size() == 2);
  }
  /// The messages of a function need its memory decode.
  void decode(const pci::sbdf& slot) { CHECK(guest->write(slot, 4, 2, 0x6).good()); }

  domain_id domain = 0;
  std::optional<frontend> guest;
};

actors::settings without_msix() {
  actors::settings settings;
  settings.own(nic).policy.msix = false;
  settings.own(nic).policy.msi = false;
  return settings;
}

struct refused_messages : one_guest {
  refused_messages() : one_guest(without_msix()) {}
};

} // namespace

TEST_CASE_FIXTURE(one_guest, "reads are answered with the function's values, and only where they may be") {
  CHECK(guest->read(first_slot, 0, 4).value == 0x10d38086);
  CHECK(guest->read(first_slot, 1, 2).error == error(op_error::invalid_offset));
  CHECK(guest->read(first_slot, 0, 3).error == error(op_error::invalid_offset));
  CHECK_FALSE(guest->read(first_slot, -4, 4).good());
  CHECK_FALSE(guest->read(first_slot, 4096, 4).good());
  CHECK(guest->read(pci::make_sbdf(0, 0, 31, 0), 0, 4).error == error(op_error::dev_not_found));
  CHECK(guest->read(pci::make_sbdf(1, 0, 0, 0), 0, 4).error == error(op_error::dev_not_found));
  CHECK(guest->timeouts() == 0);
}

TEST_CASE_FIXTURE(one_guest, "operations that no backend of a living guest takes are not implemented") {
  for (const std::uint32_t code : {6U, 7U, 8U, 9U, 10U, 11U, 0x7fffffffU, 0xffffffffU}) {
    auto what = guest->make(op_code::conf_read, first_slot);
    what.cmd = code;
    what.value = 0x1234;
    const auto answer = guest->perform(what);
    CAPTURE(code);
    CHECK(answer.error == error(op_error::not_implemented));
    CHECK(answer.value == 0x1234);
  }
  CHECK(function(nic).refused >= 8);
}

TEST_CASE_FIXTURE(one_guest, "MSI gives one pirq, which works until disable_msi") {
  decode(first_slot);
  const auto on = guest->enable_msi(first_slot);
  REQUIRE(on.good());
  CHECK(host.xen().holdings(domain).message_pirqs == std::vector<std::uint16_t>{static_cast<std::uint16_t>(on.value)});
  CHECK(msi_on(nic));
  CHECK(function(nic).mode == pci::interrupt_mode::msi);
  CHECK(host.xen().raise(nic));
  CHECK(guest->interrupts(on.value) == 1);

  const auto off = guest->disable(first_slot, op_code::disable_msi);
  CHECK(off.good());
  CHECK(off.value == 22); // its line's pirq
  CHECK_FALSE(msi_on(nic));
  CHECK(holding_pirqs(domain) == 0);
  CHECK(guest->disable(first_slot, op_code::disable_msi).good()); // XSA-157
  CHECK(guest->disable(first_slot, op_code::disable_msix).good());
}

TEST_CASE_FIXTURE(one_guest, "enable_msix needs what the specification says it needs") {
  auto what = guest->make(op_code::enable_msix, second_slot);
  const auto refused = [&](std::uint32_t count) {
    what.value = count;
    const auto answer = guest->perform(what);
    CHECK(answer.error == error(op_error::op_failed));
    CHECK(holding_pirqs(domain) == 0);
    CHECK_FALSE(msix_on(disk));
  };
  decode(second_slot);
  refused(0);
  refused(129);
  refused(0xffffffff);
  what.msix_entries[1].entry = 0; // twice the same
  refused(2);
  what.msix_entries[1].entry = 2047; // beyond any table of these cards
  refused(2);
}

TEST_CASE_FIXTURE(one_guest, "an NVMe driver's order of operations ends with two vectors that work") {
  driver nvme(*guest, second_slot);
  REQUIRE(nvme.probe_as_nvme());
  CHECK(nvme.kind() == driver::interrupt_kind::msix);
  CHECK(nvme.pirqs().size() == 2);
  CHECK(holding_pirqs(domain) == 2);
  CHECK(host.xen().raise(disk, 0));
  CHECK(host.xen().raise(disk, 1));
  CHECK(nvme.interrupts() == 2);
  nvme.remove();
  CHECK(holding_pirqs(domain) == 0);
  CHECK_FALSE(msix_on(disk));
}

TEST_CASE_FIXTURE(one_guest, "XSA-157: an enable while one is on ends the old one first") {
  decode(first_slot);
  REQUIRE(guest->enable_msix(first_slot, {0, 1, 2}).good());
  CHECK(holding_pirqs(domain) == 3);
  const auto close_channels = [&] {
    for (const auto pirq : guest->pirqs(first_slot)) {
      guest->unbind_pirq(pirq);
    }
  };
  close_channels();
  const auto fewer = guest->enable_msix(first_slot, {0, 1});
  REQUIRE(fewer.good());
  CHECK(holding_pirqs(domain) == 2);
  CHECK(host.xen().raise(nic, 1));
  CHECK(guest->interrupts(fewer.vectors[1]) == 1);

  // Xen keeps what it took from an open channel from that guest until the channel is closed.
  CHECK_FALSE(guest->enable_msi(first_slot).good());
  CHECK(holding_pirqs(domain) == 0);
  CHECK_FALSE(msix_on(nic));

  close_channels();
  const auto other_kind = guest->enable_msi(first_slot);
  REQUIRE(other_kind.good());
  CHECK(holding_pirqs(domain) == 1);
  CHECK(msi_on(nic));
  CHECK_FALSE(msix_on(nic));
}

TEST_CASE_FIXTURE(one_guest, "two functions of a guest do not share what they have") {
  decode(first_slot);
  decode(second_slot);
  REQUIRE(guest->enable_msix(first_slot, {0, 1, 2}).good());
  const auto other = guest->enable_msix(second_slot, {0, 1});
  REQUIRE(other.good());
  CHECK(guest->disable(first_slot).good());
  CHECK(holding_pirqs(domain) == 2);
  CHECK(host.xen().raise(disk, 1));
  CHECK(guest->interrupts(other.vectors[1]) == 1);
}

TEST_CASE_FIXTURE(one_guest, "when Xen refuses a vector, those that it gave are taken back") {
  decode(first_slot);
  host.xen().fail_next(ENOSPC, 2);
  const auto answer = guest->enable_msix(first_slot, {0, 1, 2});
  CHECK(answer.error == error(op_error::op_failed));
  CHECK(holding_pirqs(domain) == 0);
  CHECK_FALSE(msix_on(nic));
  CHECK(guest->enable_msix(first_slot, {0, 1, 2}).good());
  CHECK(holding_pirqs(domain) == 3);
}

TEST_CASE_FIXTURE(refused_messages, "where policy refuses message interrupts the line works") {
  driver card(*guest, first_slot);
  REQUIRE(card.probe());
  CHECK(card.kind() == driver::interrupt_kind::intx);
  CHECK(card.pirqs() == std::vector<std::uint16_t>{22});
  CHECK(host.xen().holdings(domain).line_pirqs == std::vector<std::uint16_t>{22, 23});
  CHECK(holding_pirqs(domain) == 0);
  CHECK(host.xen().raise_intx(nic));
  CHECK(card.interrupts() == 1);
  CHECK(guest->enable_msi(first_slot).error == error(op_error::op_failed));
  CHECK(function(nic).mode == pci::interrupt_mode::intx);
}

TEST_SUITE_END();
