// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/registers.hpp"
#include "platform/xen/physdev.hpp"

#define __XEN_TOOLS__ 1 // NOLINT(bugprone-reserved-identifier)
extern "C" {
#include <xen/xen.h>

#include <xen/physdev.h>
}

using platform::xen::physdev;

namespace {

const pci::sbdf address = pci::make_sbdf(0x12, 0x34, 5, 6);
const pci::sbdf in_segment_0 = pci::make_sbdf(0, 0x34, 5, 6);

// Takes hypercalls in place of Xen.
struct fake_xen {
  std::vector<unsigned> operations;
  std::vector<physdev_map_pirq> maps;
  std::function<int(physdev_map_pirq&)> answer = [](physdev_map_pirq& request) {
    request.pirq = 55;
    return 0;
  };
  int error = 0;
  std::vector<std::uint8_t> argument; // of the last operation that is not a map
  physdev calls{[this](unsigned operation, void* data, std::size_t size) { return take(operation, data, size); }};

  int take(unsigned operation, void* data, std::size_t size) {
    operations.push_back(operation);
    if (operation != PHYSDEVOP_map_pirq) {
      const auto* bytes = static_cast<const std::uint8_t*>(data);
      argument.assign(bytes, bytes + size);
      return error;
    }
    REQUIRE(size == sizeof(physdev_map_pirq));
    maps.push_back(*static_cast<physdev_map_pirq*>(data));
    return answer(*static_cast<physdev_map_pirq*>(data));
  }
};

// Hardware with one capability, at 0x40.
class one_capability final : public pci::config_port {
public:
  explicit one_capability(std::uint8_t id) : id_(id) {}
  pci::result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    std::uint8_t bytes[256] = {};
    bytes[pci::reg::command] = command;
    bytes[pci::reg::status] = pci::reg::status_capabilities;
    bytes[pci::reg::capabilities] = 0x40;
    bytes[0x40] = id_;
    std::uint32_t value = 0;
    std::memcpy(&value, bytes + offset, width);
    return value;
  }
  pci::result<void> write(std::uint16_t, unsigned, std::uint32_t) override { return {}; }
  std::uint8_t command = 0;

  static pci::function reference(std::uint8_t id) {
    one_capability hardware{id};
    pci::function seen;
    seen.address = address;
    for (std::uint16_t at = 0; at < 256; ++at)
      seen.config.push_back(static_cast<std::byte>(*hardware.read(at, 1)));
    seen.resources[0] = {0xfebc0000, 0xfebc0fff, 0x40200};
    if (id == pci::reg::cap_msix) // a table of one entry at the begin of the BAR, the pending bits in its middle
      seen.config[0x40 + pci::reg::msix_pba + 1] = std::byte{0x08};
    return seen;
  }

private:
  std::uint8_t id_;
};

class dead final : public pci::config_port {
public:
  pci::result<std::uint32_t> read(std::uint16_t, unsigned width) override { return 0xffffffffU >> (32 - 8 * width); }
  pci::result<void> write(std::uint16_t, unsigned, std::uint32_t) override { return {}; }
};

} // namespace

TEST_CASE("how many vectors Xen gives a guest stands on its command line") {
  using platform::extra_guest_irqs;
  CHECK(extra_guest_irqs("") == 32);
  CHECK(extra_guest_irqs("placeholder dom0_mem=2G") == 32);
  CHECK(extra_guest_irqs("extra_guest_irqs=128") == 128);
  CHECK(extra_guest_irqs("a extra_guest_irqs=64,512 b") == 64);
  CHECK(extra_guest_irqs("extra_guest_irqs=64 extra_guest_irqs=96") == 96);
  CHECK(extra_guest_irqs("extra_guest_irqs=,512 no_extra_guest_irqs=7") == 32);
}

TEST_CASE("MSI is mapped with the segment and without a table") {
  fake_xen xen;
  CHECK(xen.calls.map_msi(7, address).value() == 55);
  REQUIRE(xen.maps.size() == 1);
  CHECK(xen.maps[0].domid == 7);
  CHECK(xen.maps[0].type == MAP_PIRQ_TYPE_MSI_SEG);
  CHECK(xen.maps[0].index == -1);
  CHECK(xen.maps[0].pirq == -1);
  CHECK(xen.maps[0].bus == (0x12 << 16 | 0x34));
  CHECK(xen.maps[0].devfn == (5 << 3 | 6));
  CHECK(xen.maps[0].table_base == 0);
}

TEST_CASE("an MSI-X entry is mapped with its table") {
  fake_xen xen;
  CHECK(xen.calls.map_msix(7, address, 3, 0x1'febc'0000).value() == 55);
  REQUIRE(xen.maps.size() == 1);
  CHECK(xen.maps[0].type == MAP_PIRQ_TYPE_MSI_SEG);
  CHECK(xen.maps[0].entry_nr == 3);
  CHECK(xen.maps[0].table_base == 0x1'febc'0000);
}

TEST_CASE("MSI-X without a table never reaches Xen") {
  fake_xen xen;
  CHECK(xen.calls.map_msix(7, address, 0, 0).error().error == EINVAL);
  CHECK(xen.operations.empty());
}

TEST_CASE("a Xen that does not know segments is asked the older way, in segment 0 only") {
  fake_xen xen;
  xen.answer = [](physdev_map_pirq& request) {
    request.pirq = 54;
    return request.type == MAP_PIRQ_TYPE_MSI ? 0 : EINVAL;
  };
  CHECK(xen.calls.map_msix(7, in_segment_0, 3, 0xfebc0000).value() == 54);
  REQUIRE(xen.maps.size() == 2);
  CHECK(xen.maps[1].type == MAP_PIRQ_TYPE_MSI);
  CHECK(xen.maps[1].bus == 0x34);
  CHECK(xen.maps[1].entry_nr == 3);

  xen.maps.clear();
  CHECK(xen.calls.map_msi(7, address).error().error == EINVAL);
  CHECK(xen.maps.size() == 1);
}

TEST_CASE("Xen's other refusals are final") {
  fake_xen xen;
  xen.answer = [](physdev_map_pirq&) { return ENODEV; };
  const auto mapped = xen.calls.map_msi(7, in_segment_0);
  CHECK(mapped.error() == pci::failure{ENODEV, "Xen: cannot map MSI of 0000:34:05.6 for domain 7"});
  CHECK(xen.maps.size() == 1);
}

TEST_CASE("what Xen holds against a mapping is told when the guest is to blame") {
  fake_xen xen;
  xen.answer = [](physdev_map_pirq&) { return EBUSY; };
  const auto mapped = xen.calls.map_msi(7, in_segment_0);
  CHECK(mapped.error().error == EBUSY);
  CHECK(mapped.error().context.find("an event channel open for an interrupt that was taken from it") !=
        std::string::npos);
}

TEST_CASE("a pirq that is no pirq is refused") {
  fake_xen xen;
  for (const int pirq : {-1, 0x10000}) {
    xen.answer = [pirq](physdev_map_pirq& request) {
      request.pirq = pirq;
      return 0;
    };
    CHECK(xen.calls.map_msi(7, address).error().error == ERANGE);
  }
}

TEST_CASE("a GSI is mapped to the pirq of its number") {
  fake_xen xen;
  CHECK(xen.calls.map_gsi(7, 23));
  REQUIRE(xen.maps.size() == 1);
  CHECK(xen.maps[0].type == MAP_PIRQ_TYPE_GSI);
  CHECK(xen.maps[0].index == 23);
  CHECK(xen.maps[0].pirq == 23);
  CHECK(xen.calls.map_gsi(7, 0x80000000).error().error == EINVAL);
  CHECK(xen.maps.size() == 1);
}

TEST_CASE("a pirq is unmapped from its domain") {
  fake_xen xen;
  CHECK(xen.calls.unmap_pirq(7, 55));
  physdev_unmap_pirq sent{};
  REQUIRE(xen.argument.size() == sizeof sent);
  std::memcpy(&sent, xen.argument.data(), sizeof sent);
  CHECK(sent.domid == 7);
  CHECK(sent.pirq == 55);
  xen.error = ESRCH;
  CHECK(xen.calls.unmap_pirq(7, 55).error().error == ESRCH);
}

TEST_CASE("MSI-X is prepared and released for a function in which it was seen") {
  fake_xen xen;
  const auto function = platform::msix_function::seen_in(one_capability::reference(pci::reg::cap_msix));
  REQUIRE(function);
  CHECK(xen.calls.prepare_msix(*function));
  CHECK(xen.argument == std::vector<std::uint8_t>{0x12, 0x00, 0x34, 5 << 3 | 6});
  CHECK(xen.calls.release_msix(*function));
  CHECK(xen.operations == std::vector<unsigned>{PHYSDEVOP_prepare_msix, PHYSDEVOP_release_msix});
}

TEST_CASE("message interrupts are restored where there are any, and only while the function decodes memory") {
  fake_xen xen;
  for (const auto capability : {pci::reg::cap_msi, pci::reg::cap_msix}) {
    one_capability hardware{capability};
    const auto reference = one_capability::reference(capability);
    const auto off = platform::restorable_function::look(reference, hardware, hardware);
    REQUIRE_FALSE(off);
    CHECK(off.error().error == ENXIO);
    hardware.command = pci::reg::command_memory;
    const auto function = platform::restorable_function::look(reference, hardware, hardware);
    REQUIRE(function);
    REQUIRE(*function);
    CHECK(xen.calls.restore_msi(**function));
    CHECK(xen.operations.back() == PHYSDEVOP_restore_msi_ext);
    CHECK(xen.argument == std::vector<std::uint8_t>{0x12, 0x00, 0x34, 5 << 3 | 6});
  }
  // A virtual function's own COMMAND says nothing: its physical function decides.
  one_capability hardware{pci::reg::cap_msix}, physical{pci::reg::cap_pm};
  const auto reference = one_capability::reference(pci::reg::cap_msix);
  CHECK_FALSE(platform::restorable_function::look(reference, hardware, physical));
  physical.command = pci::reg::command_memory;
  CHECK(platform::restorable_function::look(reference, hardware, physical).value());
  const auto nothing =
      platform::restorable_function::look(one_capability::reference(pci::reg::cap_pm), hardware, physical);
  REQUIRE(nothing);
  CHECK_FALSE(*nothing);
  dead gone;
  CHECK(platform::restorable_function::look(reference, gone, physical).error().error == ENODEV);
  CHECK(platform::restorable_function::look(reference, hardware, gone).error().error == ENODEV);
}

TEST_CASE("whether a line is shared is one bit of what Xen says of it") {
  std::vector<unsigned> asked;
  std::uint32_t flags = 0;
  int error = 0;
  physdev calls{[&](unsigned operation, void* data, std::size_t size) {
    CHECK(operation == PHYSDEVOP_irq_status_query);
    REQUIRE(size == sizeof(physdev_irq_status_query));
    auto& query = *static_cast<physdev_irq_status_query*>(data);
    asked.push_back(query.irq);
    query.flags = flags;
    return error;
  }};
  CHECK(calls.line_shared(21) == false);
  flags = XENIRQSTAT_needs_eoi;
  CHECK(calls.line_shared(21) == false);
  flags = XENIRQSTAT_needs_eoi | XENIRQSTAT_shared;
  CHECK(calls.line_shared(22) == true);
  error = EINVAL;
  CHECK(calls.line_shared(99).error().error == EINVAL);
  CHECK(asked == std::vector<unsigned>{21, 21, 22, 99});
}

TEST_CASE("MSI-X is what the reference copy has: what the card shows later does not count") {
  CHECK_FALSE(platform::msix_function::seen_in(one_capability::reference(pci::reg::cap_msi)));
  CHECK_FALSE(platform::msix_function::seen_in(pci::function{}));
  auto overlapping = one_capability::reference(pci::reg::cap_msix);
  overlapping.config[0x40 + pci::reg::msix_pba + 1] = std::byte{0};
  CHECK_FALSE(platform::msix_function::seen_in(overlapping));
  CHECK(platform::msix_function::seen_in(one_capability::reference(pci::reg::cap_msix))->address() == address);
  // A capability that grew is none for restore_msi either.
  one_capability grown{pci::reg::cap_msix};
  grown.command = pci::reg::command_memory;
  CHECK_FALSE(*platform::restorable_function::look(one_capability::reference(pci::reg::cap_pm), grown, grown));
}
