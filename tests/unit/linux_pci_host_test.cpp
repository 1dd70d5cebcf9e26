// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "platform/linux/pci_host.hpp"
#include "unit/fake_sysfs.hpp"

using platform::holder;
using platform::linux_host::parse_resources;

namespace {

const std::string name = "0000:03:00.0";
const pci::sbdf address = pci::make_sbdf(0, 3, 0, 0);

using writes = std::vector<std::pair<std::string, std::string>>;

struct scene {
  test::temporary_directory files;
  test::fake_kernel kernel{files};
  std::vector<std::string> loaded;
  platform::linux_host::pci_host host{kernel, [this](const std::string& module) {
                                        loaded.push_back(module);
                                        kernel.add_driver(module);
                                        return pci::result<void>{};
                                      }};

  scene() {
    kernel.add_function(name);
    kernel.add_driver("e1000e");
    kernel.add_driver("pci-stub");
  }
  [[nodiscard]] std::string attribute(const std::string& which) const {
    return kernel.read("bus/pci/devices/" + name + "/" + which).value();
  }
};

} // namespace

TEST_CASE("holding a free function enables it before the holder binds") {
  scene at;
  REQUIRE(at.host.hold(address, holder::stub, false));
  CHECK(at.kernel.writes == writes{{"driver_override", "pci-stub"},
                                   {"enable", "1"},
                                   {"drivers_probe", name},
                                   {"control", "on"},
                                   {"d3cold_allowed", "0"}});
  CHECK(at.host.driver(address).value() == "pci-stub");
  CHECK(at.loaded.empty());
}

TEST_CASE("a function in use is refused with its driver's name, and untouched") {
  scene at;
  at.kernel.bind(name, "e1000e");
  const auto held = at.host.hold(address, holder::stub, false);
  REQUIRE(!held);
  CHECK(held.error() == pci::failure{EBUSY, "0000:03:00.0 belongs to the driver e1000e"});
  CHECK(at.kernel.writes.empty());
}

TEST_CASE("seizing unbinds the driver first") {
  scene at;
  at.kernel.bind(name, "e1000e");
  REQUIRE(at.host.hold(address, holder::stub, true));
  CHECK(at.kernel.writes.front() == std::pair<std::string, std::string>{"unbind", name});
  CHECK(at.host.driver(address).value() == "pci-stub");
}

TEST_CASE("a function that is held already stays as it is") {
  scene at;
  at.kernel.bind(name, "pci-stub");
  at.files.file("bus/pci/devices/" + name + "/enable", "1\n");
  REQUIRE(at.host.hold(address, holder::stub, false));
  CHECK(at.kernel.writes == writes{{"control", "on"}, {"d3cold_allowed", "0"}});
}

TEST_CASE("a function that its holder took before it was enabled is taken again") {
  scene at;
  at.kernel.bind(name, "pci-stub");
  REQUIRE(at.host.hold(address, holder::stub, false));
  CHECK(at.attribute("enable") == "1");
  CHECK(at.host.driver(address).value() == "pci-stub");
}

TEST_CASE("a function moves from one holder to the other without being seized") {
  scene at;
  at.kernel.bind(name, "pci-stub");
  at.files.file("bus/pci/devices/" + name + "/enable", "1\n");
  REQUIRE(at.host.hold(address, holder::uio, false));
  CHECK(at.loaded == std::vector<std::string>{"uio_pci_generic"});
  CHECK(at.host.driver(address).value() == "uio_pci_generic");
  CHECK(at.attribute("driver_override") == "uio_pci_generic");
  CHECK(at.attribute("enable") == "1\n"); // counted once
}

TEST_CASE("a holder that the kernel does not have leaves the function with its driver") {
  scene at;
  at.kernel.bind(name, "e1000e");
  platform::linux_host::pci_host without{at.kernel, [](const std::string&) { return pci::result<void>{}; }};
  const auto held = without.hold(address, holder::uio, true);
  REQUIRE(!held);
  CHECK(held.error() == pci::failure{ENOENT, "the kernel has no driver uio_pci_generic"});
  CHECK(at.kernel.writes.empty());

  platform::linux_host::pci_host failing{
      at.kernel, [](const std::string&) -> pci::result<void> { return pci::fail(EIO, "modprobe failed"); }};
  CHECK(failing.hold(address, holder::uio, true).error().context == "modprobe failed");
}

TEST_CASE("a function that cannot be enabled goes back to its driver") {
  scene at;
  at.kernel.bind(name, "e1000e");
  at.kernel.native = "e1000e";
  at.kernel.refuse = "enable";
  const auto held = at.host.hold(address, holder::stub, true);
  REQUIRE(!held);
  CHECK(held.error().context == "refused by the test");
  CHECK(at.host.driver(address).value() == "e1000e");
  CHECK(at.attribute("driver_override") == "\n");
}

TEST_CASE("a holder that does not take the function is told, and the function given back") {
  scene at;
  at.kernel.bind(name, "e1000e");
  at.kernel.native = "e1000e";
  at.kernel.reluctant = "pci-stub";
  const auto held = at.host.hold(address, holder::stub, true);
  REQUIRE(!held);
  CHECK(held.error() == pci::failure{EIO, "pci-stub did not take 0000:03:00.0, which belongs to no driver"});
  CHECK(at.host.driver(address).value() == "e1000e");
}

TEST_CASE("a held function that another holder does not take stays with its holder: a guest may have it") {
  scene at;
  at.kernel.native = "e1000e";
  REQUIRE(at.host.hold(address, holder::stub, true));
  at.kernel.reluctant = "uio_pci_generic";
  const auto held = at.host.hold(address, holder::uio, false);
  REQUIRE(!held);
  CHECK(held.error().context.find("uio_pci_generic did not take") != std::string::npos);
  CHECK(at.host.driver(address).value() == "pci-stub");
  CHECK(at.attribute("driver_override") == "pci-stub");
}

TEST_CASE("releasing gives the function back to the driver that the kernel finds") {
  scene at;
  at.kernel.native = "e1000e";
  REQUIRE(at.host.hold(address, holder::stub, false));
  at.kernel.writes.clear();
  REQUIRE(at.host.release(address));
  CHECK(at.kernel.writes == writes{{"unbind", name},
                                   {"enable", "0"},
                                   {"d3cold_allowed", "1"},
                                   {"control", "auto"},
                                   {"driver_override", "\n"},
                                   {"drivers_probe", name}});
  CHECK(at.host.driver(address).value() == "e1000e");
}

TEST_CASE("letting go leaves the function without a driver") {
  scene at;
  at.kernel.native = "e1000e";
  REQUIRE(at.host.hold(address, holder::stub, false));
  at.kernel.writes.clear();
  REQUIRE(at.host.let_go(address));
  CHECK(
      at.kernel.writes ==
      writes{
          {"unbind", name}, {"enable", "0"}, {"d3cold_allowed", "1"}, {"control", "auto"}, {"driver_override", "\n"}});
  CHECK(at.host.driver(address).value().empty());
  CHECK(at.host.let_go(pci::make_sbdf(0, 4, 0, 0)).error().error == ENODEV);
}

TEST_CASE("a hold's changes of how dom0 manages a function's power end with it") {
  const auto power = [](scene& at) {
    return at.attribute("power/control") + at.attribute("d3cold_allowed") + at.attribute("enable");
  };
  using platform::power_settings;
  SUBCASE("as they were") {
    scene at;
    REQUIRE(at.host.hold(address, holder::stub, false));
    CHECK(power(at) == "on01");
    CHECK(at.host.power_before(address) == power_settings{true, true, true});
    REQUIRE(at.host.hold(address, holder::uio, false)); // it is held on: those are not what was found
    CHECK(at.host.power_before(address) == power_settings{true, true, true});
    REQUIRE(at.host.release(address));
    CHECK(power(at) == "auto10");
    CHECK_FALSE(at.host.power_before(address));
  }
  SUBCASE("also what keeps it awake, and enabled") {
    scene at;
    at.files.file("bus/pci/devices/" + name + "/power/control", "on\n");
    at.files.file("bus/pci/devices/" + name + "/d3cold_allowed", "0\n");
    at.files.file("bus/pci/devices/" + name + "/enable", "1\n");
    REQUIRE(at.host.hold(address, holder::stub, false));
    CHECK(at.host.power_before(address) == power_settings{false, false, false});
    REQUIRE(at.host.release(address));
    CHECK(power(at) == "on01\n");
  }
  SUBCASE("where the kernel has no such attributes") {
    scene at;
    std::filesystem::remove(at.files.path() / ("bus/pci/devices/" + name + "/power/control"));
    std::filesystem::remove(at.files.path() / ("bus/pci/devices/" + name + "/d3cold_allowed"));
    REQUIRE(at.host.hold(address, holder::stub, false));
    CHECK(at.host.power_before(address) == power_settings{std::nullopt, std::nullopt, true});
    REQUIRE(at.host.release(address));
    CHECK(at.attribute("enable") == "0");
  }
  SUBCASE("after another daemon, which the journal tells") {
    scene at;
    REQUIRE(at.host.hold(address, holder::stub, false));
    platform::linux_host::pci_host next{at.kernel, [](const std::string&) { return pci::result<void>{}; }};
    REQUIRE(next.hold(address, holder::stub, false));
    CHECK_FALSE(next.power_before(address)); // what the first has made of it is not what was found
    next.remember_power(address, {true, true, true});
    REQUIRE(next.release(address));
    CHECK(power(at) == "auto10");
  }
  SUBCASE("when it cannot be held") {
    scene at;
    at.kernel.reluctant = "pci-stub";
    REQUIRE_FALSE(at.host.hold(address, holder::stub, false));
    CHECK(at.attribute("enable") == "0");
  }
}

TEST_CASE("releasing gives the function back to the driver that had it, not to the kernel's choice") {
  scene at;
  at.kernel.add_driver("vendor_driver");
  at.kernel.bind(name, "vendor_driver");
  at.kernel.native = "e1000e";
  REQUIRE(at.host.hold(address, holder::stub, true));
  CHECK(at.host.previous_driver(address) == "vendor_driver");
  REQUIRE(at.host.release(address));
  CHECK(at.host.driver(address).value() == "vendor_driver");
  CHECK(at.attribute("driver_override") == "\n"); // the next driver is free to take it
  CHECK(at.host.previous_driver(address).empty());
}

TEST_CASE("a driver that an earlier daemon took the function from gets it back") {
  scene at;
  at.kernel.add_driver("vendor_driver");
  at.kernel.bind(name, "pci-stub");
  at.files.file("bus/pci/devices/" + name + "/enable", "1\n");
  at.kernel.native = "e1000e";
  at.host.remember_driver(address, "vendor_driver");
  REQUIRE(at.host.hold(address, holder::stub, false));
  REQUIRE(at.host.release(address));
  CHECK(at.host.driver(address).value() == "vendor_driver");
}

TEST_CASE("a driver that is gone, or does not want the function, is replaced by the kernel's choice") {
  for (const bool loaded : {false, true}) {
    scene at;
    if (loaded) {
      at.kernel.add_driver("vendor_driver");
    }
    at.kernel.bind(name, "vendor_driver");
    at.kernel.native = "e1000e";
    at.kernel.reluctant = "vendor_driver";
    if (loaded) {
      REQUIRE(at.host.hold(address, holder::stub, true));
    } else {
      at.kernel.bind(name, "pci-stub");
      at.host.remember_driver(address, "vendor_driver");
    }
    REQUIRE(at.host.release(address));
    CHECK(at.host.driver(address).value() == "e1000e");
  }
}

TEST_CASE("a driver that takes the function while it is being seized loses it again") {
  scene at;
  at.kernel.racing = "e1000e";
  REQUIRE(at.host.hold(address, holder::stub, true));
  CHECK(at.host.driver(address).value() == "pci-stub");
  scene without;
  without.kernel.racing = "e1000e";
  CHECK(without.host.hold(address, holder::stub, false).error().error == EBUSY);
}

TEST_CASE("a function is identified without a look at its configuration space") {
  scene at;
  std::filesystem::remove(at.files.path() / ("bus/pci/devices/" + name + "/config"));
  CHECK(at.host.identify(address).value() == pci::identity{address, 0x8086, 0x10d3, 0x020000});
  CHECK(at.host.identify(pci::make_sbdf(0, 4, 0, 0)).error().error == ENODEV);
}

TEST_CASE("functions in segments that Xen has no number for are told apart") {
  scene at;
  const auto before = at.host.list();
  at.files.file("bus/pci/devices/10000:e1:00.0/vendor", "0x8086");
  CHECK(at.host.list() == before);
  CHECK(at.host.beyond_xen() == std::vector<std::string>{"10000:e1:00.0"});
}

TEST_CASE("reserved memory is read from the table that Xen hides, with the bridges on the way") {
  scene at;
  CHECK(at.host.reserved_regions().empty());
  std::string table(48, '\0');
  table += std::string("\1\0\x22\0\0\0\0\0\0\0\0\x7a\0\0\0\0\xff\xff\x7f\x7a\0\0\0\0", 24);
  table += std::string("\1\x0a\0\0\0\0\x1c\4\0\1", 10);
  std::string bridge(256, '\0');
  bridge[0x19] = 5;
  at.files.file("bus/pci/devices/0000:00:1c.4/config", bridge);
  at.files.file("firmware/acpi/tables/RMAD", table);
  const auto all = at.host.reserved_regions();
  REQUIRE(all.size() == 1);
  CHECK(all[0].functions == std::vector{pci::make_sbdf(0, 5, 0, 1)});
}

TEST_CASE("releasing does not unbind a driver that is no holder") {
  scene at;
  at.kernel.bind(name, "e1000e");
  REQUIRE(at.host.release(address));
  CHECK(at.host.driver(address).value() == "e1000e");
}

TEST_CASE("a function is reset by one of the methods that the kernel has for it") {
  scene at;
  using enum pci::reset_method;
  using options = std::vector<pci::reset_option>;
  CHECK(at.host.reset_options(address) == options{});
  CHECK(at.host.reset(address, flr).error().error == ENOTSUP);
  const auto device = "bus/pci/devices/" + name;
  at.files.file(device + "/reset");
  CHECK(at.host.reset_options(address) == options{{unnamed, {}}}); // before Linux 5.15
  CHECK(at.host.reset(address, unnamed));
  CHECK(at.attribute("reset") == "1");
  at.files.file(device + "/reset");
  at.files.file(device + "/reset_method", "flr pm a_new_one\n");
  CHECK(at.host.reset_options(address) == options{{flr, {}}, {pm, {}}});
  CHECK(at.host.reset(address, bus).error().error == ENOTSUP);
  at.kernel.writes.clear();
  REQUIRE(at.host.reset(address, pm));
  CHECK(at.kernel.writes == writes{{"reset_method", "pm"}, {"reset", "1"}, {"reset_method", "flr pm a_new_one"}});
  at.kernel.writes.clear();
  REQUIRE(at.host.reset(address, flr)); // the kernel's own first: its list is not touched
  CHECK(at.kernel.writes == writes{{"reset", "1"}});
}

TEST_CASE("what a reset hits besides: virtual functions, and all that is on the bus") {
  scene at;
  using enum pci::reset_method;
  const auto device = "bus/pci/devices/" + name;
  const auto sibling = pci::make_sbdf(0, 3, 0, 1), child = pci::make_sbdf(0, 3, 0x10, 0);
  at.kernel.add_function("0000:03:00.1");
  at.kernel.add_function("0000:04:00.0");
  at.files.file(device + "/reset_method", "flr\n");
  at.files.link(device + "/virtfn0", "../0000:03:10.0");
  CHECK(at.host.reset_options(address) == std::vector<pci::reset_option>{{flr, {child}}});
  // In sysfs the function's directory lies in its bridge's.
  at.files.file("bus/pci/devices/reset_subordinate");
  CHECK(at.host.reset_options(address) == std::vector<pci::reset_option>{{flr, {child}}, {bus, {sibling}}});
  at.kernel.writes.clear();
  REQUIRE(at.host.reset(address, bus));
  CHECK(at.kernel.writes == writes{{"reset_subordinate", "1"}});
}

TEST_CASE("what is not there is ENODEV") {
  scene at;
  const auto other = pci::make_sbdf(0, 4, 0, 0);
  CHECK(at.host.describe(other).error().error == ENODEV);
  CHECK(at.host.driver(other).error().error == ENODEV);
  CHECK(at.host.open_config(other).error().error == ENODEV);
  CHECK(at.host.hold(other, holder::stub, false).error().error == ENODEV);
  CHECK(at.host.release(other).error().error == ENODEV);
  CHECK(at.host.reset(other, pci::reset_method::flr).error().error == ENODEV);
  CHECK(at.host.reset_options(other).error().error == ENODEV);
}

TEST_CASE("a function is described from its attributes") {
  scene at;
  const auto function = at.host.describe(address);
  REQUIRE(function);
  CHECK(function->address == address);
  CHECK(function->vendor == 0x8086);
  CHECK(function->device == 0x10d3);
  CHECK(function->class_code == 0x020000);
  CHECK(function->irq == 23);
  CHECK(function->resources[0] == pci::resource{0xfebc0000, 0xfebdffff, 0x40200});
  CHECK(function->resources[2].is_io());
  CHECK(function->resources[pci::function::rom].start == 0xfeb40000);
  CHECK(!function->is_virtual());
  CHECK(function->config_size() == 256);
  CHECK(function->config.back() == std::byte{0x5a});
}

TEST_CASE("a virtual function names its physical function") {
  scene at;
  at.files.link("bus/pci/devices/" + name + "/physfn", "../0000:02:00.0");
  at.files.file("bus/pci/devices/" + name + "/config", std::string(4096, '\0'));
  const auto function = at.host.describe(address);
  REQUIRE(function);
  CHECK(function->physical_function == pci::make_sbdf(0, 2, 0, 0));
  CHECK(function->config_size() == 4096);
}

TEST_CASE("the bridges above a function are on its path") {
  scene at;
  CHECK(at.host.describe(address)->bridges.empty());
  const auto place = "devices/pci0000:00/0000:00:02.0/0000:02:00.0/" + name;
  std::filesystem::create_directories(at.files.path() / place / "..");
  std::filesystem::rename(at.files.path() / "bus/pci/devices" / name, at.files.path() / place);
  at.files.link("bus/pci/devices/" + name, "../../../" + place);
  const auto function = at.host.describe(address);
  REQUIRE(function);
  CHECK(function->bridges == std::vector<pci::sbdf>{pci::make_sbdf(0, 2, 0, 0), pci::make_sbdf(0, 0, 2, 0)});
}

TEST_CASE("attributes that make no sense are refused, and named") {
  scene at;
  const auto context_with = [&](const std::string& attribute, const std::string& content) {
    const auto file = "bus/pci/devices/" + name + "/" + attribute;
    const auto before = at.kernel.read(file).value();
    at.files.file(file, content);
    const auto described = at.host.describe(address);
    at.files.file(file, before);
    return described ? std::string{} : described.error().context;
  };
  CHECK(context_with("vendor", "0x18086\n") == "vendor of 0000:03:00.0 is not a number up to 0xffff");
  CHECK(context_with("irq", "-1\n").starts_with("irq of"));
  CHECK(context_with("class", "").starts_with("class of"));
  CHECK(context_with("resource", "0x0 0x0\n").starts_with("cannot understand the resources"));
  CHECK(context_with("config", std::string(64, '\0')).starts_with("only 64 bytes"));
  CHECK(context_with("vendor", "0x8086\n").empty());
}

TEST_CASE("listing passes over what is no address") {
  scene at;
  at.kernel.add_function("0001:00:1f.7");
  at.files.file("bus/pci/devices/garbage/vendor");
  CHECK(at.host.list() == std::vector<pci::sbdf>{address, pci::make_sbdf(1, 0, 0x1f, 7)});
  std::filesystem::remove_all(at.files.path() / "bus");
  CHECK(at.host.list().empty());
}

TEST_CASE("resources need seven lines of three numbers") {
  const auto text = test::fake_kernel::resources();
  CHECK(parse_resources(text));
  CHECK(!parse_resources(text.substr(0, 57 * 6)));
  CHECK(!parse_resources(""));
  CHECK(!parse_resources("0x1 0x2 0x3 0x4\n" + text));
  CHECK(!parse_resources("0x1 0x2 junk\n" + text));
  CHECK(!parse_resources("0x11111111111111111 0x2 0x3\n" + text)); // more than 64 bits
}

TEST_CASE("a configuration port makes accesses of the width that is asked for") {
  scene at;
  std::string bytes(256, '\0');
  bytes.replace(0, 4, "\x86\x80\xd3\x10");
  at.files.file("bus/pci/devices/" + name + "/config", bytes);
  const auto port = at.host.open_config(address);
  REQUIRE(port);
  CHECK((*port)->read(0, 4).value() == 0x10d38086);
  CHECK((*port)->read(2, 2).value() == 0x10d3);
  CHECK((*port)->read(3, 1).value() == 0x10);
  REQUIRE((*port)->write(6, 2, 0xffff1234));
  CHECK((*port)->read(4, 4).value() == 0x12340000);

  CHECK((*port)->read(256, 4).error().error == EINVAL);
  CHECK((*port)->read(1, 2).error().error == EINVAL);
  CHECK((*port)->read(0, 3).error().error == EINVAL);
  CHECK((*port)->read(0, 8).error().error == EINVAL);
  CHECK((*port)->write(2, 4, 0).error().error == EINVAL);
}
