// SPDX-License-Identifier: GPL-2.0-or-later
// pciback's directory over a daemon that is a stand-in: the kernel's formats, grammar and errnos.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <doctest/doctest.h>

#include "temporary_directory.hpp"
#include "tools/sysfs/control_backend.hpp"
#include "tools/sysfs/formats.hpp"
#include "tools/sysfs/pciback.hpp"
#include "tools/sysfs/tree.hpp"

using namespace sysfs_program;
using test::temporary_directory;

namespace {

const auto shown_card = pci::make_sbdf(0, 3, 0, 0);
const auto other_card = pci::make_sbdf(0, 4, 0, 1);

/// Answers from a map, and writes down what it is asked to do.
class fake_daemon final : public backend {
public:
  pci::result<std::vector<function>> list() override {
    if (gone) {
      return pci::fail(EIO, "no daemon");
    }
    std::vector<function> all;
    for (auto& [address, is] : functions) {
      is.settling = is.settling && (looks == 0 || --looks != 0);
      all.push_back(is);
    }
    return all;
  }
  pci::result<register_list> registers(const pci::sbdf& address) override {
    return functions.contains(address)
               ? pci::result<register_list>{{address, 0x8086, 0x10d3, 0x1af4, 0x1100, {{0, 2, 0}, {0xe8, 2, 0xf0}}}}
               : pci::fail(ENODEV, "not held");
  }
  pci::result<void> hold(const pci::sbdf& address) override {
    if (functions.contains(address)) {
      return pci::fail(EEXIST, "held already");
    }
    asked.push_back("hold " + pci::to_string(address));
    functions[address].address = address;
    return outcome;
  }
  pci::result<void> release(const pci::sbdf& address) override {
    if (outcome) {
      return functions.erase(address) != 0 ? done("release", address) : pci::fail(ENODEV, "not held");
    }
    return outcome;
  }
  pci::result<void> set_permissive(const pci::sbdf& address) override { return done("permissive", address); }
  pci::result<void> allow_interrupt_control(const pci::sbdf& address) override { return done("control", address); }
  pci::result<void> add_quirk(const pci::addressed_quirk& what) override {
    return done("quirk " + pci::to_string(what.what), what.address);
  }
  pci::result<void> acknowledge(const pci::sbdf& address, bool on) override {
    return done(on ? "acknowledge" : "ignore", address);
  }
  pci::result<void> done(const std::string& what, const pci::sbdf& address) {
    asked.push_back(what + " " + pci::to_string(address));
    return outcome;
  }

  std::map<pci::sbdf, function> functions;
  std::vector<std::string> asked;
  pci::result<void> outcome;
  bool gone = false;
  unsigned looks = 0; ///< until what settles is settled; 0: never
};

struct directory {
  directory() {
    daemon.functions[shown_card] = {shown_card, true, false, true, false, true, false, 1234};
    daemon.functions[other_card] = {other_card, true, false, false, true, false, false, 0};
  }
  int write(const char* file, const char* text) {
    const auto done = files.write(file, text);
    return done ? 0 : done.error().error;
  }
  std::string read(const char* file) { return files.read(file).value(); }
  fake_daemon daemon;
  pciback files{daemon};
};

using words = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(directory, "the files read as the kernel's do") {
  CHECK(read("slots") == "0000:03:00.0\n0000:04:00.1\n");
  CHECK(read("permissive") == "0000:03:00.0\n");
  CHECK(read("allow_interrupt_control") == "0000:04:00.1\n");
  CHECK(read("irq_handlers") == "0000:03:00.0:on:acking:1234\n0000:04:00.1:off:not acking:0\n");
  daemon.functions[shown_card].message = true;
  CHECK(irq_handlers_text(daemon.list().value()).starts_with("0000:03:00.0:on:not acking:1234\n"));
  CHECK(read("quirks") == "03:00.0\n\t8086:10d3:1af4:1100\n\t\t00000000:2:00000000\n\t\t000000e8:2:000000f0\n"
                          "04:00.1\n\t8086:10d3:1af4:1100\n\t\t00000000:2:00000000\n\t\t000000e8:2:000000f0\n");
  for (const auto& file : pciback::files) {
    CAPTURE(file.name);
    CHECK(files.read(file.name).has_value() == file.readable);
    if (!file.writable) {
      CHECK(files.write(file.name, "03:00.0").error().error == EACCES);
    }
  }
  CHECK(pciback::find("slots") != nullptr);
  CHECK(pciback::find("slot") == nullptr);
}

TEST_CASE_FIXTURE(directory, "a function comes by a slot and bind, and goes by unbind") {
  CHECK(write("bind", "0000:05:00.0") == ENODEV); // no slot
  CHECK(write("new_slot", " 05:00.0\n") == 0);
  CHECK(read("slots") == "0000:03:00.0\n0000:04:00.1\n0000:05:00.0\n");
  CHECK(files.links().value().size() == 2);
  CHECK(write("bind", "05:00.0") == ENODEV); // the driver core knows whole names only
  CHECK(write("bind", "0000:05:00.0\n\n") == ENODEV);
  CHECK(write("bind", " 0000:05:00.0") == ENODEV);
  CHECK(write("bind", "0000:05:00.0\n") == 0);
  CHECK(write("bind", "0000:05:00.0") == EBUSY);
  CHECK(files.links().value().back() == pci::make_sbdf(0, 5, 0, 0));
  CHECK(write("unbind", "0000:05:00.0\n") == 0);
  CHECK(write("unbind", "0000:05:00.0\n") == ENODEV);
  CHECK(daemon.asked == words{"hold 0000:05:00.0", "release 0000:05:00.0"});
  CHECK(write("unbind", "0000:03:00.0") == 0);
  CHECK(read("slots") == "0000:03:00.0\n0000:04:00.1\n0000:05:00.0\n"); // the slot outlives the function
  CHECK(write("remove_slot", "03:00.0") == 0);
  CHECK(write("remove_slot", "03:00.0") == ENOENT);
  CHECK(read("slots") == "0000:04:00.1\n0000:05:00.0\n");
}

TEST_CASE_FIXTURE(directory, "slots have wildcards") {
  CHECK(write("new_slot", "0001:06:1f.*") == 0);
  CHECK(std::ranges::count(read("slots"), '\n') == 2 + 8);
  CHECK(write("new_slot", "07:*.*") == 0);
  CHECK(write("new_slot", "07:*.*") == 0); // no slot twice
  CHECK(std::ranges::count(read("slots"), '\n') == 2 + 8 + 256);
  CHECK(write("remove_slot", "07:*.*") == 0);
  CHECK(write("remove_slot", "1:06:1f.7") == 0);
  CHECK(std::ranges::count(read("slots"), '\n') == 2 + 7);
  for (const auto* text :
       {"", "07", "07:00", "07:00.8", "07:20.0", "07:00.0x", "07:00.0 1", "10000:07:00.0", "07:*.1"}) {
    CAPTURE(text);
    CHECK(write("new_slot", text) == EINVAL);
    CHECK(write("remove_slot", text) == EINVAL);
  }
  CHECK(std::ranges::count(read("slots"), '\n') == 2 + 7);
}

TEST_CASE_FIXTURE(directory, "what a guest may do is set by the files") {
  CHECK(write("permissive", "04:00.1\n") == 0);
  CHECK(write("allow_interrupt_control", "0000:04:00.1") == 0);
  CHECK(write("quirks", "04:00.1-E8:2:F0\n") == 0);
  CHECK(daemon.asked == words{"permissive 0000:04:00.1", "control 0000:04:00.1", "quirk e8:2:f0 0000:04:00.1"});
  CHECK(write("permissive", "04:00.*") == ENODEV);
  CHECK(write("allow_interrupt_control", "04:*.*") == ENODEV);
  CHECK(write("permissive", "04") == EINVAL);
  CHECK(write("quirks", "04:00.1-1000:1:0") == EINVAL);
  CHECK(write("quirks", "04:00.1") == EINVAL);
  daemon.outcome = pci::fail(ENODEV, "not held");
  CHECK(write("permissive", "09:00.0") == ENODEV);
}

TEST_CASE_FIXTURE(directory, "a line's handler is toggled") {
  CHECK(write("irq_handler_state", "03:00.0") == 0);
  CHECK(write("irq_handler_state", "04:00.1") == 0);
  CHECK(daemon.asked == words{"ignore 0000:03:00.0", "acknowledge 0000:04:00.1"});
  CHECK(write("irq_handler_state", "05:00.0") == ENOENT);
  CHECK(write("irq_handler_state", "03:00.*") == ENOENT);
  CHECK(write("irq_handler_state", "x") == EINVAL);
}

TEST_CASE_FIXTURE(directory, "a function that is not clean is not there for a toolstack") {
  daemon.functions[shown_card].assignable = false;
  CHECK(files.links().value() == std::vector<pci::sbdf>{other_card});
  CHECK(files.holds(shown_card).value());
  daemon.outcome = pci::fail(EBUSY, "domain 3 has it");
  CHECK(write("unbind", "0000:04:00.1") == EBUSY);
}

TEST_CASE_FIXTURE(directory, "a toolstack waits for a function that is about to be clean, but not for ever") {
  daemon.functions[shown_card].settling = true;
  daemon.looks = 3;
  CHECK(files.links().value().size() == 2);
  CHECK(daemon.looks == 0);
  CHECK_FALSE(daemon.functions[shown_card].settling);
  daemon.functions[shown_card].settling = true; // for good
  pciback hasty(daemon, std::chrono::milliseconds(1));
  CHECK(hasty.links().value().size() == 2);
  CHECK(daemon.functions[shown_card].settling);
}

TEST_CASE_FIXTURE(directory, "without a daemon all is EIO") {
  daemon.gone = true;
  CHECK(files.links().error().error == EIO);
  CHECK(files.read("slots").error().error == EIO);
  CHECK(files.read("quirks").error().error == EIO);
  CHECK(write("bind", "0000:05:00.0") == EIO);
  CHECK(write("irq_handler_state", "03:00.0") == EIO);
  CHECK(control_backend("/nonexistent/socket").list().error().error == EIO);
}

TEST_CASE("the daemon's answers are read") {
  const auto all =
      parse_functions(R"({"functions":[{"address":"0000:03:00.0","state":"leased","mode":"msix","permissive":true,)"
                      R"("interrupt_control":false,"line":{"decision":"acknowledge","holder":"uio_pci_generic",)"
                      R"("acknowledging":false,"acknowledged":9}},)"
                      R"({"address":"0000:04:00.1","state":"failed","interrupt_control":true},)"
                      R"({"address":"0000:05:00.0","state":"scrubbing"},)"
                      R"({"address":"0000:06:00.0","state":"inherited"}],"domains":[]})");
  REQUIRE(all.has_value());
  REQUIRE(all->size() == 4);
  CHECK((*all)[3].assignable); // its guest has it still, as with the kernel's driver
  CHECK((*all)[2].assignable);
  CHECK((*all)[2].settling);
  CHECK((*all)[0].address == shown_card);
  CHECK((*all)[0].assignable);
  CHECK((*all)[0].permissive);
  CHECK((*all)[0].handler);
  CHECK((*all)[0].message);
  CHECK((*all)[0].handled == 9);
  CHECK_FALSE((*all)[0].settling);
  CHECK_FALSE((*all)[1].assignable);
  CHECK((*all)[1].interrupt_control);
  const auto registers =
      parse_registers(R"({"address":"0000:03:00.0","vendor":"8086","device":"10d3",)"
                      R"("subsystem_vendor":"1af4","subsystem":"1100","fields":["0:2:0","e8:2:f0"]})");
  REQUIRE(registers.has_value());
  CHECK(registers->subsystem == 0x1100);
  CHECK(registers->fields == std::vector<pci::quirk>{{0, 2, 0}, {0xe8, 2, 0xf0}});
  for (const auto* text : {"", "3", "{}", R"({"functions":3})", R"({"functions":[3]})", R"({"functions":[{}]})",
                           R"({"address":"0000:03:00.0"})", R"({"address":"03:00.0","fields":["x"]})"}) {
    CAPTURE(text);
    CHECK(parse_functions(text).error().error == EPROTO);
    CHECK(parse_registers(text).error().error == EPROTO);
  }
}

namespace {

/// A copy of what the kernel has, in a directory.
struct host_files {
  host_files() {
    const std::filesystem::path root = where / "bus/pci";
    for (const auto* driver : {"e1000e", "pci-stub", "pciback"}) {
      std::filesystem::create_directories(root / "drivers" / driver);
      std::ofstream(root / "drivers" / driver / "unbind");
    }
    std::filesystem::create_directories(root / "devices");
    std::filesystem::create_symlink("../../../devices/pci0000:00/0000:03:00.0", root / "devices/0000:03:00.0");
    std::filesystem::create_symlink("../../../../module/e1000e", root / "drivers/e1000e/module");
  }
  temporary_directory where;
};

struct whole_tree : directory, host_files {
  std::string content(const char* file) {
    std::ifstream from(std::filesystem::path(where / "bus/pci/drivers") / file);
    return {std::istreambuf_iterator<char>(from), {}};
  }
  drivers kernel{drivers::open(where / ".").value()};
  tree all{kernel, files};
};

} // namespace

TEST_CASE_FIXTURE(whole_tree, "the kernel's drivers are there, and pciback is the daemon's") {
  auto names = all.list("/").value();
  std::sort(names.begin(), names.end());
  CHECK(names == words{"e1000e", "pci-stub", "pciback"});
  CHECK(S_ISDIR(all.status("/").value().st_mode));
  CHECK(S_ISDIR(all.status("/e1000e").value().st_mode));
  CHECK(S_ISLNK(all.status("/e1000e/module").value().st_mode));
  CHECK(all.link("/e1000e/module").value() == "../../../../module/e1000e");
  CHECK(all.status("/nvme").error().error == ENOENT);
  CHECK(all.status("/pciback-2").error().error == ENOENT);
  CHECK(all.list("/pciback").value().size() == pciback::files.size() + 2);
  CHECK(all.status("/pciback/slots").value().st_mode == (S_IFREG | 0444));
  CHECK(all.status("/pciback/new_slot").value().st_mode == (S_IFREG | 0200));
  CHECK(all.status("/pciback/quirks").value().st_mode == (S_IFREG | 0644));
  CHECK(S_ISLNK(all.status("/pciback/0000:03:00.0").value().st_mode));
  CHECK(all.link("/pciback/0000:03:00.0").value() == "../../../../devices/pci0000:00/0000:03:00.0");
  CHECK(all.status("/pciback/03:00.0").error().error == ENOENT);
  CHECK(all.status("/pciback/0000:05:00.0").error().error == ENOENT);
  CHECK(all.link("/pciback/slots").error().error == EINVAL);
  CHECK(all.read("/pciback/slots").value() == "0000:03:00.0\n0000:04:00.1\n");
  CHECK(all.read("/e1000e/unbind").value().empty());
  CHECK_FALSE(kernel.is_sysfs());
}

TEST_CASE_FIXTURE(
    whole_tree, "unbinding from the daemon's holder gives the function back, from another driver it is the kernel's") {
  CHECK(all.write("/e1000e/unbind", "0000:03:00.0"));
  CHECK(content("e1000e/unbind") == "0000:03:00.0");
  CHECK(all.write("/pci-stub/unbind", "0000:05:00.0")); // somebody else's
  CHECK(content("pci-stub/unbind") == "0000:05:00.0");
  CHECK(daemon.asked.empty());
  CHECK(all.write("/pci-stub/unbind", "0000:03:00.0"));
  CHECK(daemon.asked == words{"release 0000:03:00.0"});
  CHECK(content("pci-stub/unbind") == "0000:05:00.0");
  CHECK(all.write("/pciback/unbind", "0000:04:00.1"));
  CHECK(daemon.asked.back() == "release 0000:04:00.1");
  CHECK(all.write("/nvme/unbind", "0000:03:00.0").error().error == ENOENT);
  daemon.gone = true;
  CHECK(all.write("/pci-stub/unbind", "0000:03:00.0").error().error == EIO);
}
