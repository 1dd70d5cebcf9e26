// SPDX-License-Identifier: GPL-2.0-or-later
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "platform/linux/error_trace.hpp"
#include "unit/fake_sysfs.hpp"

using pci::error_severity;
using platform::linux_host::error_trace;
using platform::linux_host::parse_traced_error;
using platform::linux_host::traced_error;

namespace {

const pci::sbdf nic = pci::make_sbdf(0, 1, 0, 0);
const std::string line = "  irq/24-aerdrv-75  [000] .....    71.123456: aer_event: 0000:01:00.0 PCIe Bus Error: "
                         "severity=Uncorrected, non-fatal, Poisoned TLP, TLP Header=Not available\n";

/// A tracefs whose pipe is a FIFO; the kernel makes an instance's files with its directory.
struct scene {
  test::temporary_directory tracing;
  int kernel = -1;

  scene() {
    for (const auto* name : {"buffer_size_kb", "buffer_percent", "trace", "events/ras/aer_event/enable"})
      tracing.file("instances/pcibackd/" + std::string(name), "old");
    REQUIRE(::mkfifo(at("trace_pipe").c_str(), 0600) == 0);
    kernel = ::open(at("trace_pipe").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  }
  ~scene() { ::close(kernel); }
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;
  [[nodiscard]] std::filesystem::path at(const std::string& name) const {
    return tracing.path() / "instances/pcibackd" / name;
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::string text;
    std::ifstream(at(name)) >> text;
    return text;
  }
  void say(std::string_view text) const {
    REQUIRE(::write(kernel, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
};

std::vector<std::string> drain(error_trace& trace) {
  std::vector<std::string> seen;
  CHECK(trace.drain([&](const traced_error& error) {
    seen.push_back(pci::to_string(error.address) + " " + std::string(pci::to_string(error.severity)) + " " +
                   std::string(error.status));
  }));
  return seen;
}

} // namespace

TEST_CASE("the kernel's line of an error is understood") {
  CHECK(parse_traced_error(line) == traced_error{nic, error_severity::nonfatal, "Poisoned TLP"});
  CHECK(
      parse_traced_error("<idle>-0 [001] 1.0: aer_event: 0001:02:1f.7 PCIe Bus Error: severity=Corrected, Bad TLP|Bad "
                         "DLLP, TLP Header=Not available") ==
      traced_error{pci::make_sbdf(1, 2, 0x1f, 7), error_severity::corrected, "Bad TLP|Bad DLLP"});
  CHECK(parse_traced_error("x: aer_event: 0000:01:00.0 PCIe Bus Error: severity=Fatal, Malformed TLP, TLP "
                           "Header={0x1,0x2,0x3,0x4}") == traced_error{nic, error_severity::fatal, "Malformed TLP"});
  // After a fatal error the function's status cannot be read.
  CHECK(parse_traced_error("x: aer_event: 0000:01:00.0 PCIe Bus Error: severity=Fatal, , TLP Header=Not available") ==
        traced_error{nic, error_severity::fatal, ""});
  CHECK(parse_traced_error("x: aer_event: 0000:01:00.0 PCIe Bus Error: severity=Fatal, Poisoned TLP") ==
        traced_error{nic, error_severity::fatal, "Poisoned TLP"});
}

TEST_CASE("other lines are passed over") {
  CHECK(!parse_traced_error(""));
  CHECK(!parse_traced_error("CPU:0 [LOST 12 EVENTS]"));
  CHECK(!parse_traced_error("x: mc_event: 1 Corrected error: on mc#0"));
  CHECK(!parse_traced_error("x: aer_event: 0000:01:00.0 PCIe Bus Error: severity=Odd, Bad TLP, TLP Header=no"));
  CHECK(!parse_traced_error("x: aer_event: eth0 PCIe Bus Error: severity=Corrected, Bad TLP, TLP Header=no"));
  CHECK(!parse_traced_error("x: aer_event: 0000:01:00.0 something else"));
  for (std::size_t size = 0; size < line.find("Poisoned"); ++size)
    CHECK(!parse_traced_error(std::string_view(line).substr(0, size)));
}

TEST_CASE("the tracepoint is turned on in an instance of the daemon's own") {
  scene at;
  auto trace = error_trace::open(at.tracing.path());
  REQUIRE(trace);
  CHECK(at.content("events/ras/aer_event/enable") == "1");
  CHECK(at.content("trace").empty());
  CHECK(at.content("buffer_percent") == "0");
  CHECK((::fcntl((*trace)->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  (*trace).reset();
  CHECK(at.content("events/ras/aer_event/enable") == "0");
}

TEST_CASE("what waits is read without blocking, however it is cut") {
  scene at;
  const auto trace = error_trace::open(at.tracing.path());
  REQUIRE(trace);
  CHECK(drain(**trace).empty());
  at.say(line + "nonsense\n" + line.substr(0, 70));
  pollfd polled{(*trace)->descriptor(), POLLIN, 0};
  CHECK(::poll(&polled, 1, 0) == 1);
  CHECK(drain(**trace) == std::vector<std::string>{"0000:01:00.0 non-fatal Poisoned TLP"});
  CHECK(::poll(&polled, 1, 0) == 0);
  at.say(line.substr(70));
  CHECK(drain(**trace).size() == 1);
}

TEST_CASE("a line without an end is not kept") {
  scene at;
  const auto trace = error_trace::open(at.tracing.path());
  REQUIRE(trace);
  for (int i = 0; i < 100; ++i) {
    at.say(std::string(4000, 'x'));
    CHECK(drain(**trace).empty());
  }
  at.say("\n" + line);
  CHECK(drain(**trace).size() == 1);
}

TEST_CASE("no tracefs, and a kernel without the tracepoint, are told in words") {
  test::temporary_directory empty;
  const auto none = error_trace::open(empty.path() / "nowhere");
  REQUIRE_FALSE(none);
  CHECK(none.error().error == ENOENT);
  CHECK(none.error().context.find("tracefs") != std::string::npos);
  std::filesystem::create_directory(empty.path() / "instances");
  const auto without = error_trace::open(empty.path());
  REQUIRE_FALSE(without);
  CHECK(without.error().error == ENOENT);
  CHECK_FALSE(std::filesystem::exists(empty.path() / "instances/pcibackd")); // nothing is left behind
}
