// SPDX-License-Identifier: GPL-2.0-or-later
// What is said of a host, of a bug, and of what goes on: doctor, report, top.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "simulated_daemon.hpp"
#include "tools/pcibackctl/anonymity.hpp"
#include "tools/pcibackctl/doctor.hpp"
#include "tools/pcibackctl/report.hpp"
#include "tools/pcibackctl/top_view.hpp"

using namespace client_program;
using test::simulated_daemon;

namespace {

/// A host's files.
struct doctors_root {
  test::temporary_directory folder;
  std::filesystem::path root{folder / "root"};

  void file(const std::string& name, const std::string& text = "") const {
    std::filesystem::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  doctors_root() {
    file("sys/hypervisor/type", "xen\n");
    file("sys/hypervisor/guest_type", "PV\n");
    file("sys/hypervisor/version/major", "4\n");
    file("sys/hypervisor/version/minor", "17\n");
    file("sys/hypervisor/version/extra", ".5\n");
    file("proc/xen/capabilities", "control_d\n");
    file("proc/sys/kernel/osrelease", "6.1.0-test\n");
    for (const auto* node : {"evtchn", "gntdev", "privcmd", "hypercall"}) {
      file(std::string("dev/xen/") + node);
    }
    file("dev/userfaultfd");
    file("sys/firmware/acpi/tables/RMAD"); // as Xen leaves it
    file("sys/bus/pci/drivers/pci-stub/bind");
    file("lib/modules/6.1.0-test/modules.dep", "kernel/drivers/uio/uio_pci_generic.ko: kernel/drivers/uio/uio.ko\n");
    file("sys/power/state", "freeze disk\n");
    file("sys/bus/pci/devices/0000:03:00.0/reset_method", "flr bus\n");
    file("sys/bus/pci/devices/0000:04:00.0/reset_method", "\n");
  }
  [[nodiscard]] std::string said() const { return doctor_text(look_at_host(root)); }
};

bool found_in(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("a host that has all is told so, line by line") {
  const doctors_root at;
  CHECK_FALSE(has_problem(look_at_host(at.root)));
  CHECK(at.said() == "Finding  What             Detail\n"
                     "good     host             Xen 4.17.5, a PV dom0, Linux 6.1.0-test\n"
                     "good     IOMMU            the firmware describes one (DMAR)\n"
                     "good     pci-stub         loaded\n"
                     "good     uio_pci_generic  there, and loaded when it is needed\n"
                     "good     removals         the kernel can hold a removal up while a guest uses the function\n"
                     "good     S3               dom0 does not sleep\n"
                     "\n"
                     "no problems, no warnings\n");
}

TEST_CASE("what is amiss with a host is told, with what to do") {
  const doctors_root at;
  at.file("sys/bus/xen-backend/drivers/xen-pciback/bind");
  at.file("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  at.file("sys/power/state", "freeze mem disk\n");
  at.file("lib/modules/6.1.0-test/modules.dep", "");
  std::filesystem::remove(at.root / "sys/firmware/acpi/tables/RMAD");
  std::filesystem::remove(at.root / "dev/userfaultfd");
  const auto said = at.said();
  CAPTURE(said);
  CHECK(has_problem(look_at_host(at.root)));
  for (const auto* part : {"rmmod xen-pciback", "locked down (integrity)", "problem  uio_pci_generic", "warning  IOMMU",
                           "warning  removals", "note     S3", "3 problems, 2 warnings"}) {
    CHECK(found_in(said, part));
  }
  std::filesystem::remove_all(at.root / "sys/hypervisor");
  CHECK(found_in(at.said(), "this is not a Xen host"));
  const auto json = nlohmann::json::parse(doctor_json(look_at_host(at.root)));
  CHECK(json["checks"][0]["found"] == "problem");
  CHECK(json["problems"] == 2);
}

TEST_CASE("settings are looked at with the functions that they name") {
  const doctors_root at;
  at.file("etc/p.toml", "[[device]]\naddress = \"03:00.0\"\n[[device]]\naddress = \"04:00.0\"\n"
                        "[[assign]]\ndomain = \"web\"\ndevices = [\"05:00.0\"]\n");
  const auto text = doctor_text(look_at_settings(at.root, at.root / "etc/p.toml"));
  CAPTURE(text);
  CHECK(found_in(text, "good     0000:03:00.0  there; its driver in dom0: none"));
  CHECK(found_in(text, "warning  0000:04:00.0  it cannot be reset"));
  CHECK(found_in(text, "problem  0000:05:00.0  the settings name it, and the host has no such function"));
  at.file("etc/p.toml", "[daemon]\nlog_lvl = 3\n");
  CHECK(found_in(doctor_text(look_at_settings(at.root, at.root / "etc/p.toml")), "p.toml:2:1: "));
  CHECK(look_at_settings(at.root, at.root / "none").front().found == finding::note);
}

TEST_CASE("what the daemon explains of a function is a finding, and its traps are too") {
  const auto all = checks_of(
      R"j({"functions":[{"address":"0000:03:00.0","verdict":{"kind":"not-held","text":"dom0's driver has it",)j"
      R"j("command":"pcibackctl hold 0000:03:00.0"},"host":{"there":true,"resets":[],"page_mates":[{"address":"a"}],)j"
      R"j("reserved":[{"functions":["0000:03:00.0","0000:04:00.0"]}]},"status":{"notes":["odd\u001b"]}},)j"
      R"j({"address":"0000:04:00.0","verdict":{"kind":"works","text":"all is well","command":null}}]})j");
  const auto text = doctor_text(all);
  CAPTURE(text);
  CHECK(found_in(text, "problem  0000:03:00.0  dom0's driver has it: pcibackctl hold 0000:03:00.0\n"));
  CHECK(found_in(text, "warning  0000:03:00.0  it cannot be reset"));
  CHECK(found_in(text, "warning  0000:03:00.0  it shares a page of registers, and so its guest, with 1 function\n"));
  CHECK(found_in(text, "warning  0000:03:00.0  it shares reserved memory (RMRR) with 1 function;"));
  CHECK(found_in(text, "note     0000:03:00.0  odd?\n"));
  CHECK(found_in(text, "good     0000:04:00.0  all is well\n"));
  CHECK(checks_of("[]").empty());
}

TEST_CASE("names, UUIDs and serial numbers are replaced by the same each time, and nothing else") {
  anonymiser hide;
  hide.learn(
      json::parse(R"j({"domains":[{"name":"web","domain":3},{"name":"web-2"}],"functions":[{"guest":"db (4)"}]})j"));
  hide.add_guest("17");
  CHECK(hide.text("web (3) is no web-2, nor a webserver; db:17") ==
        "guest-1 (3) is no guest-2, nor a webserver; guest-3:17");
  const auto text = hide.text("6b8f1e2c-0000-4000-8000-0123456789ab 00-1b-21-ff-ff-9d-2a-1f "
                              "6b8f1e2c-0000-4000-8000-0123456789ab 0000:03:00.0 2026-11-26");
  CHECK(text == "uuid-1 serial-2 uuid-1 0000:03:00.0 2026-11-26");
  const auto value = hide.value(json::parse(R"({"web":{"name":"web","list":["db",3,null]}})"));
  CHECK(value.dump() == R"({"web":{"name":"guest-1","list":["guest-3",3,null]}})");
}

TEST_CASE_FIXTURE(simulated_daemon, "a report has everything, and says whose it is only when asked") {
  pci::result<void> outcome;
  std::thread daemon{[&] { outcome = simulated->run({}, *socket, signals[0], false); }};
  CHECK(found_in(list_with("\"mode\":\"msix\""), "leased"));
  const auto report = collect_report(path, "1.2", {});
  REQUIRE(report.has_value());
  const auto named = report_text(*report);
  CHECK(found_in(named, "database"));
  const auto text = report_text(anonymous_report(*report));
  CAPTURE(text);
  for (const auto* part : {"\n== settings ==\n", "\n== list ==\n", "\n== explain 0000:00:03.0 ==\n", "\n== actors ==\n",
                           "\n== events ==\n", "\n== log ==\n", "\n== metrics ==\n", "guest-", "pcibackctl 1.2"}) {
    CHECK(found_in(text, part));
  }
  for (const auto* name : {"database", "web", "idle"}) {
    CHECK_FALSE(found_in(text, std::string{name} + " ("));
  }
  const auto object = json::parse(report_json(anonymous_report(*report)));
  CHECK(object["list"]["functions"].size() == 3);
  CHECK(object["explain"].size() == 3);

  // The doctor's part of it.
  const auto checks = look_at_daemon(path, text_in(*report, "pcibackd"), {});
  CHECK(checks.front().found == finding::good);
  CHECK(checks.size() > 3);
  CHECK(look_at_daemon(path, "0", {}).front().found == finding::warning);
  signal();
  daemon.join();
  CHECK(outcome.has_value());
  socket.reset();
  CHECK(look_at_daemon(path, "0", {}).front().found == finding::note);
  CHECK(collect_report(path, "1", {}).error().kind == pci::failure_kind::no_daemon);
}

namespace {

top_sample top_sample_of(unsigned nic, unsigned disk, unsigned guest, unsigned quick, unsigned slow) {
  const auto list = fmt::format(
      R"({{"functions":[{{"address":"0000:03:00.0","state":"leased","domain":3,"operations":{},"refused":0,"vectors":[1,2],)"
      R"("line":{{"acknowledged":{}}}}},{{"address":"0000:04:00.0","state":"leased","domain":4,"operations":{},"refused":4,)"
      R"("vectors":[],"line":{{"acknowledged":0}}}}],"domains":[{{"domain":3,"name":"web","state":"connected",)"
      R"("operations":{},"absent":0}},{{"domain":4,"name":"db","state":"connected","operations":{},"absent":0}}]}})",
      nic, nic / 2, disk, guest, disk);
  const json metrics{{"text", fmt::format("pcibackd_operation_duration_seconds_bucket{{le=\"1e-05\"}} {}\n"
                                          "pcibackd_operation_duration_seconds_bucket{{le=\"0.001\"}} {}\n"
                                          "pcibackd_operation_duration_seconds_bucket{{le=\"+Inf\"}} {}\n",
                                          quick, slow, slow)}};
  return {list, metrics.dump()};
}

} // namespace

TEST_CASE("top shows what went on between two looks") {
  const auto frame =
      top_frame(top_sample_of(100, 1000, 120, 100, 100), top_sample_of(300, 1000, 340, 190, 200), 2, "operations");
  REQUIRE(frame.has_value());
  CHECK(*frame == "2 guests, 2 functions; 110.0 operations a second, half within 10 us, 99 % within 1 ms\n"
                  "\n"
                  "Guest    Device        State      Operations/s  Errors/s  Interrupts/s  Vectors\n"
                  "web (3)  all           connected  110.0         0         50.0          2\n"
                  "web (3)  0000:03:00.0  leased     100.0         0         50.0          2\n"
                  "db (4)   all           connected  0             0         0             0\n"
                  "db (4)   0000:04:00.0  leased     0             0         0             0\n");
  const auto by_guest =
      top_frame(top_sample_of(100, 1000, 120, 0, 0), top_sample_of(300, 500, 340, 0, 0), 1, "guest").value();
  CHECK(by_guest.find("db (4)") < by_guest.find("web (3)"));
  CHECK(found_in(by_guest, "db (4)   0000:04:00.0  leased     500.0 ")); // it began anew
  CHECK(found_in(by_guest, "half within -, 99 % within -"));
  CHECK(top_frame({}, top_sample_of(1, 1, 1, 1, 1), 1, "guest").error().error == EPROTO);
  const auto numbers = json::parse(
      top_json(top_sample_of(100, 1000, 120, 100, 100), top_sample_of(300, 1000, 340, 190, 200), 2, "operations")
          .value());
  CHECK(numbers["operations"] == 110.0);
  CHECK(numbers["half_within_s"] == 1e-05);
  CHECK(numbers["most_within_s"] == 0.001);
  CHECK(numbers["functions"][0] == json{{"guest", "web (3)"},
                                        {"address", "0000:03:00.0"},
                                        {"state", "leased"},
                                        {"operations", 100.0},
                                        {"errors", 0.0},
                                        {"interrupts", 50.0},
                                        {"vectors", 2}});
  CHECK(numbers["guests"][0]["address"].is_null());
  CHECK(json::parse(
            top_json(top_sample_of(1, 1, 1, 0, 0), top_sample_of(1, 1, 1, 0, 0), 1, "guest").value())["half_within_s"]
            .is_null());
  CHECK(top_json({}, top_sample_of(1, 1, 1, 1, 1), 1, "guest").error().error == EPROTO);
}
