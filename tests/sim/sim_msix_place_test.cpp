// SPDX-License-Identifier: GPL-2.0-or-later
// Where the simulated Xen and its cards have MSI-X: by the registers, as the real ones.
#include <cerrno>

#include <doctest/doctest.h>

#include "pci/config_space/registers.hpp"
#include "sim/sim_support.hpp"

using namespace sim_test;
namespace reg = pci::reg;

namespace {

constexpr std::uint64_t fixed = 0x10; // IORESOURCE_PCI_FIXED

/// An e1000e with the structures of its MSI-X in BAR 0; BAR 1 is beside it.
sim::device_model card_with_table_in_bar0() {
  auto made = model("e1000e", slot3);
  made.config.at(0xa4) = made.config.at(0xa8) = std::byte{0};
  return made;
}

/// It is held, and everything is prepared but MSI-X.
struct card_without_msix {
  sim::host host;
  recording_sink sink;
  std::unique_ptr<pci::config_port> port;

  explicit card_without_msix(sim::device_model what) {
    host.add_function(std::move(what));
    REQUIRE(host.start(sink));
    REQUIRE(host.pci().hold(slot3, holder::stub, false));
    port = *host.pci().open_config(slot3);
  }
  ~card_without_msix() { host.stop(); }
  pci::result<void> prepare() {
    // As the daemon has seen it in health.
    auto seen = *host.pci().describe(slot3);
    seen.resources.at(0).flags &= ~fixed;
    return host.xen().prepare_msix(*msix_function::seen_in(seen));
  }
};

} // namespace

TEST_CASE("prepare_msix reads the BAR's register: one that was lost is no place for a table, whatever is beside it") {
  card_without_msix card(card_with_table_in_bar0());
  const auto place = *card.port->read(reg::bar0, 4);
  REQUIRE(*card.port->read(reg::bar0 + 4, 4) != 0);
  REQUIRE(card.port->write(reg::bar0, 4, 0));
  CHECK(error_of(card.prepare()) == ENXIO);
  CHECK(card.host.xen().facts(slot3)->poisoned);
  REQUIRE(card.port->write(reg::bar0, 4, place));
  CHECK(card.prepare());
  CHECK_FALSE(card.host.xen().facts(slot3)->poisoned);
}

TEST_CASE("a BAR that is elsewhere than the host believes would have Xen protect the wrong pages") {
  card_without_msix card(card_with_table_in_bar0());
  REQUIRE(card.port->write(reg::bar0, 4, 0xfd000000));
  violations seen;
  CHECK(card.prepare());
  REQUIRE(seen.texts.size() == 2); // its pending bits, too
  CHECK(seen.texts[0].find("is at fd000000") != std::string::npos);
}

TEST_CASE("a BAR without a register (Enhanced Allocation) cannot be written, and Xen finds nothing in it") {
  auto what = card_with_table_in_bar0();
  what.resources.at(0).flags |= fixed;
  for (std::size_t i = 0; i < 4; ++i)
    what.config.at(reg::bar0 + i) = std::byte{0};
  card_without_msix card(std::move(what));
  REQUIRE(card.port->write(reg::bar0, 4, 0xffffffff));
  CHECK(card.port->read(reg::bar0, 4) == 0U);
  CHECK(error_of(card.prepare()) == ENXIO);
}

TEST_CASE("what kind a BAR is, and where the list of capabilities goes on, is wired") {
  auto what = *sim::builtin_model("nvme");
  what.config.at(reg::bar0) = std::byte{0}; // it has forgotten where it was
  sim::device disk(what);
  CHECK(disk.read(reg::bar0, 1) == 0x04);
  disk.write(reg::bar0, 4, 0xffffffff);
  CHECK(disk.read(reg::bar0, 4) == 0xffffc004);
  disk.reset();
  CHECK(disk.read(reg::bar0, 4) == 0x00000004);
  // MSI at f4, whose registers would reach into MSI-X at f8.
  auto odd = *sim::builtin_model("e1000e");
  const std::array<unsigned, 8> list{0x05, 0xf8, 0x80, 0x00, 0x11, 0x00, 0x00, 0x00};
  for (std::size_t i = 0; i < list.size(); ++i)
    odd.config.at(0xf4 + i) = static_cast<std::byte>(list.at(i));
  odd.config.at(reg::capabilities) = std::byte{0xf4};
  sim::device card(odd);
  card.write(0xf8, 2, 0xffff);
  CHECK(card.read(0xf8, 2) == 0x0011);
}
