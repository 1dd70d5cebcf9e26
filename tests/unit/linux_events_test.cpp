// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "platform/linux/function_inventory.hpp"
#include "platform/linux/line_interrupts.hpp"
#include "platform/linux/uevents.hpp"
#include "unit/fake_sysfs.hpp"

using namespace std::literals;
using platform::linux_host::count_handlers;
using platform::linux_host::events_between;
using platform::linux_host::line_interrupts;
using platform::linux_host::parse_uevent;
using platform::linux_host::uevent;

namespace {

const pci::sbdf address = pci::make_sbdf(0, 3, 0, 0);
const std::string uio_directory = "bus/pci/devices/0000:03:00.0/uio/uio7/";

// Has what was left with it, one function's.
struct pretended_keeper final : platform::linux_host::descriptor_keeper {
  void keep(const pci::sbdf& function, int descriptor) override {
    REQUIRE(function == address);
    left = platform::descriptor{::dup(descriptor)};
  }
  [[nodiscard]] platform::descriptor take(const pci::sbdf& function) override {
    REQUIRE(function == address);
    return platform::descriptor{left ? ::dup(left.get()) : -1};
  }
  void drop(const pci::sbdf& function) override {
    REQUIRE(function == address);
    ++dropped;
  }
  platform::descriptor left; // what is dropped as well: it must make no difference
  int dropped = 0;
};

// A line_interrupts whose uio node is a FIFO.
struct scene {
  test::temporary_directory sys, dev, proc;
  platform::linux_host::sysfs files{sys.path()};
  pretended_keeper keeper;
  std::unique_ptr<line_interrupts> lines = open();
  int kernel = -1;

  [[nodiscard]] std::unique_ptr<line_interrupts> open() {
    return line_interrupts::open(files, &keeper, dev.path(), proc.path()).value();
  }
  void add_uio() {
    sys.file(uio_directory + "name", "uio_pci_generic\n");
    const auto node = dev.path() / "uio7";
    REQUIRE(::mkfifo(node.c_str(), 0600) == 0);
    kernel = ::open(node.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  }
  ~scene() { ::close(kernel); }
  void interrupt(std::uint32_t count) const { REQUIRE(::write(kernel, &count, sizeof count) == sizeof count); }
  [[nodiscard]] bool ready() const {
    pollfd polled{lines->descriptor(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 1;
  }
  [[nodiscard]] std::vector<pci::sbdf> drain() const {
    std::vector<pci::sbdf> seen;
    lines->drain([&](const pci::sbdf& function) { seen.push_back(function); });
    return seen;
  }
};

} // namespace

TEST_CASE("handlers of a line are counted without the uio holders'") {
  CHECK(count_handlers("") == 0);
  CHECK(count_handlers("\n") == 0);
  CHECK(count_handlers("ehci_hcd:usb1\n") == 1);
  CHECK(count_handlers("ehci_hcd:usb1,uio_pci_generic,i801_smbus\n") == 2);
  CHECK(count_handlers("uio_pci_generic,uio_pci_generic\n") == 0);
  CHECK(count_handlers(",,\n") == 0);
  CHECK(count_handlers("uio_pci_generic2\n") == 1);
}

TEST_CASE("the facts of a line come from its name and its actions") {
  scene at;
  at.sys.file("kernel/irq/20/name", "ioapic-level\n");
  at.sys.file("kernel/irq/20/actions", "uio_pci_generic,eth0\n");
  at.sys.file("kernel/irq/20/type", "edge\n");
  at.sys.file("kernel/irq/4/name", "ioapic-edge\n");
  at.sys.file("kernel/irq/4/actions", "ttyS0\n");

  CHECK(at.lines->facts(20).gsi == 20);
  CHECK(at.lines->facts(20).level);
  CHECK(at.lines->facts(20).dom0_handlers == 1);
  CHECK(!at.lines->facts(4).level);
  CHECK(at.lines->facts(4).dom0_handlers == 1);
  CHECK(at.lines->facts(99).gsi == 99);
  CHECK(!at.lines->facts(99).level);
  CHECK(at.lines->facts(99).dom0_handlers == 0);
  CHECK(at.lines->facts(0).gsi == 0);
  CHECK(at.lines->facts(0) == pci::line_facts{});
}

TEST_CASE("the facts of a line name dom0's drivers on it, and count its functions") {
  scene at;
  at.sys.file("kernel/irq/20/name", "ioapic-level\n");
  at.sys.file("kernel/irq/20/actions", "uio_pci_generic, eth0,ehci_hcd:usb1\n");
  at.sys.file("bus/pci/devices/0000:03:00.0/irq", "20\n");
  at.sys.file("bus/pci/devices/0000:04:00.0/irq", "20\n");
  at.sys.file("bus/pci/devices/0000:05:00.0/irq", "21\n");
  at.sys.file("bus/pci/devices/0000:06:00.0/vendor", "0x8086\n");
  const auto facts = at.lines->facts(20);
  CHECK(facts.dom0_handlers == 2);
  CHECK(facts.drivers == "eth0,ehci_hcd:usb1");
  CHECK(facts.functions == 2);
  CHECK(at.lines->facts(22).functions == 0);
}

TEST_CASE("what dom0 claims of a line comes from /proc") {
  using platform::linux_host::parse_counts;
  CHECK(parse_counts("count 12\nunhandled 3\nlast_unhandled 4 ms\n") == pci::line_counts{12, 3});
  for (const auto* text : {"", "count\nunhandled 1\n", "count 1\n", "unhandled 3\ncount 12\n", "count x\nunhandled 1\n",
                           "count 1\nunhandled -1\n"})
    CHECK(parse_counts(text) == std::nullopt);
  scene at;
  CHECK(at.lines->counts(20).error().error == ENOENT);
  at.proc.file("irq/20/spurious", "count 99\nunhandled 98\nlast_unhandled 4294718652 ms\n");
  CHECK(at.lines->counts(20) == pci::line_counts{99, 98});
  at.proc.file("irq/20/spurious", "nonsense");
  CHECK(at.lines->counts(20).error().error == EIO);
}

TEST_CASE("dom0's kernel can be told not to give lines up") {
  scene at;
  CHECK_FALSE(at.lines->gives_up_lines());
  CHECK_FALSE(at.lines->set_gives_up_lines(false));
  const std::string parameter = "module/spurious/parameters/noirqdebug";
  at.sys.file(parameter, "N\n");
  CHECK(at.lines->gives_up_lines() == true);
  REQUIRE(at.lines->set_gives_up_lines(false));
  CHECK(at.files.read(parameter) == "Y");
  CHECK(at.lines->gives_up_lines() == false);
  REQUIRE(at.lines->set_gives_up_lines(true));
  CHECK(at.files.read(parameter) == "N");
}

TEST_CASE("the uio device of a daemon that was killed is the next one's") {
  scene at;
  at.add_uio();
  REQUIRE(at.lines->listen(address));
  REQUIRE(at.keeper.left);
  at.interrupt(1);
  at.lines = at.open(); // without a word to the keeper
  std::filesystem::remove(at.dev.path() / "uio7");
  SUBCASE("and it is not opened anew") {
    REQUIRE(at.lines->listen(address));
    CHECK(at.drain().empty()); // who begins to listen asks
    at.interrupt(2);
    CHECK(at.drain() == std::vector{address});
    at.lines->ignore(address);
    CHECK(at.keeper.dropped == 1);
    at.interrupt(3);
    CHECK_FALSE(at.ready());
  }
  SUBCASE("unless it was unbound meanwhile") {
    ::close(std::exchange(at.kernel, -1));
    CHECK(at.lines->listen(address)); // the interrupt of before
    at.lines->ignore(address);
    CHECK(at.lines->listen(address).error().error == ENOENT);
  }
}

TEST_CASE("a function without a uio device cannot be listened to") {
  scene at;
  CHECK(at.lines->listen(address).error().error == ENODEV);
  at.sys.file(uio_directory + "name");
  CHECK(at.lines->listen(address).error().error == ENOENT); // no node in /dev
}

TEST_CASE("an interrupt is delivered once, with its function") {
  scene at;
  at.add_uio();
  REQUIRE(at.lines->listen(address));
  REQUIRE(at.lines->listen(address)); // again is no harm
  CHECK(!at.ready());
  CHECK(at.drain().empty());

  at.interrupt(1);
  CHECK(at.ready());
  CHECK(at.drain() == std::vector<pci::sbdf>{address});
  CHECK(!at.ready());
  CHECK(at.drain().empty());
}

TEST_CASE("after ignore nothing is delivered") {
  scene at;
  at.add_uio();
  REQUIRE(at.lines->listen(address));
  at.interrupt(1);
  at.lines->ignore(address);
  CHECK(!at.ready());
  CHECK(at.drain().empty());
  at.lines->ignore(address);
}

TEST_CASE("a uio device that goes is dropped") {
  scene at;
  at.add_uio();
  REQUIRE(at.lines->listen(address));
  ::close(at.kernel); // the reader now sees the end of the FIFO, for ever
  at.kernel = -1;
  CHECK(at.ready());
  errno = EAGAIN; // left over from something else
  CHECK(at.drain().empty());
  CHECK(!at.ready());
}

TEST_CASE("a uevent of a PCI function is understood") {
  const auto removed = "remove@/devices/pci0000:00/0000:00:02.0/0000:01:00.0\0ACTION=remove\0"
                       "DEVPATH=/devices/pci0000:00/0000:00:02.0/0000:01:00.0\0SUBSYSTEM=pci\0PCI_CLASS=20000\0"
                       "PCI_ID=8086:10D3\0PCI_SLOT_NAME=0000:01:00.0\0SEQNUM=1234\0"sv;
  CHECK(parse_uevent(removed) == uevent{uevent::action::remove, pci::make_sbdf(0, 1, 0, 0)});
  CHECK(parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0001:02:1f.7\0"sv) ==
        uevent{uevent::action::add, pci::make_sbdf(1, 2, 0x1f, 7)});
  CHECK(parse_uevent("unbind@/x\0ACTION=unbind\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:02:00.0\0"sv) ==
        uevent{uevent::action::unbind, pci::make_sbdf(0, 2, 0, 0)});
  CHECK(parse_uevent("bind@/x\0ACTION=bind\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:02:00.0\0"sv) ==
        uevent{uevent::action::bind, pci::make_sbdf(0, 2, 0, 0)});
  // The last string need not be ended.
  CHECK(parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:01:00.0"sv));
}

TEST_CASE("the ends of the kernel's recovery from an error are told by uevents") {
  const auto event = [](std::string_view error) {
    return parse_uevent("change@/devices/pci0000:00/0000:00:05.0\0ACTION=change\0SUBSYSTEM=pci\0ERROR_EVENT="s +
                        std::string(error) + "\0DEVICE_ONLINE=0\0PCI_SLOT_NAME=0000:00:05.0\0"s);
  };
  const auto bridge = pci::make_sbdf(0, 0, 5, 0);
  CHECK(!event("BEGIN_RECOVERY"));
  CHECK(event("FAILED_RECOVERY") == uevent{uevent::action::recovery_ended, bridge});
  CHECK(event("SUCCESSFUL_RECOVERY") == uevent{uevent::action::recovery_ended, bridge});
  CHECK(!event(""));
  CHECK(!event("FAILED_RECOVERYx"));
  CHECK(!parse_uevent("change@/x\0ACTION=change\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:00:05.0\0"sv));
  CHECK(
      !parse_uevent("add@/x\0ACTION=move\0SUBSYSTEM=pci\0ERROR_EVENT=FAILED_RECOVERY\0PCI_SLOT_NAME=0000:00:05.0\0"sv));
}

TEST_CASE("uevents of other things and garbage are passed over") {
  CHECK(!parse_uevent(""sv));
  CHECK(!parse_uevent("\0\0\0"sv));
  CHECK(!parse_uevent("libudev\0\xfe\xed\xca\xfe"sv));
  CHECK(!parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=net\0PCI_SLOT_NAME=0000:01:00.0\0"sv));
  CHECK(!parse_uevent("move@/x\0ACTION=move\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:01:00.0\0"sv));
  CHECK(!parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=pci\0"sv));
  CHECK(!parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:01:00\0"sv));
  CHECK(!parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=../../etc/passwd\0"sv));
  CHECK(!parse_uevent("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:01:20.0\0"sv)); // slot beyond 1f
}

TEST_CASE("a packet that is cut anywhere is no worse than garbage") {
  const std::string whole{"add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:01:00.0\0"sv};
  for (std::size_t size = 0; size + 2 < whole.size(); ++size)
    CHECK(!parse_uevent(std::string_view(whole).substr(0, size)));
}

TEST_CASE("the socket for uevents opens, and what waits is drained without blocking") {
  const auto events = platform::linux_host::uevents::open();
  REQUIRE(events);
  CHECK((::fcntl((*events)->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((*events)->drain([](const uevent&) {}));
}

TEST_CASE("what was announced and lost is seen by what sysfs has of each function") {
  using action = uevent::action;
  const auto first = pci::make_sbdf(0, 1, 0, 0), second = pci::make_sbdf(0, 2, 0, 0);
  const platform::linux_host::function_entries before{{first, {10, true}}, {second, {20, false}}};
  using events = std::vector<uevent>;
  CHECK(events_between(before, before).empty());
  CHECK(events_between(before, {{second, {20, false}}}) == events{{action::remove, first}});
  CHECK(events_between({}, {{first, {10, true}}}) == events{{action::add, first}});
  CHECK(events_between(before, {{first, {10, false}}, {second, {20, true}}}) == events{{action::unbind, first}});
  // It went, and another came in its place; and all the rest of it.
  CHECK(events_between(before, {{first, {11, true}}, {second, {20, false}}}) ==
        events{{action::remove, first}, {action::add, first}});
  CHECK(events_between(before, {{first, {10, false}}, {address, {30, false}}}) ==
        events{{action::remove, second}, {action::unbind, first}, {action::add, address}});
}

TEST_CASE("an inventory knows what was announced, and finds out what was not") {
  using action = uevent::action;
  using events = std::vector<uevent>;
  const test::temporary_directory root;
  const platform::linux_host::sysfs files{root.path()};
  const auto directory = root.path() / "bus/pci/devices/0000:03:00.0", elsewhere = root.path() / "elsewhere";
  std::filesystem::create_directories(directory / "driver");
  std::filesystem::create_directories(root.path() / "bus/pci/devices/no function");
  platform::linux_host::function_inventory known{files};
  CHECK(known.missed().empty());
  std::filesystem::remove(directory / "driver");
  CHECK(known.missed() == events{{action::unbind, address}});
  CHECK(known.missed().empty());
  // Moved away and not removed, so that its inode is not free for the next one.
  std::filesystem::rename(directory, elsewhere);
  known.note({action::remove, address});
  CHECK(known.missed().empty());
  std::filesystem::create_directories(directory);
  CHECK(known.missed() == events{{action::add, address}});
  std::filesystem::rename(directory, root.path() / "elsewhere too");
  std::filesystem::create_directories(directory);
  known.note({action::add, address}); // this one was not lost
  CHECK(known.missed().empty());
  std::filesystem::rename(directory, root.path() / "elsewhere as well");
  std::filesystem::create_directories(directory / "driver");
  CHECK(known.missed() == events{{action::remove, address}, {action::add, address}});
  std::filesystem::remove(directory / "driver");
  known.note({action::unbind, address});
  std::filesystem::create_directories(directory / "driver");
  known.note({action::bind, address});
  std::filesystem::remove(directory / "driver");
  CHECK(known.missed() == events{{action::unbind, address}});
}
