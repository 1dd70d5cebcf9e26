// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <unistd.h>

#include "config/settings.hpp"

namespace {

std::string complaint_of(std::string_view text) {
  const auto got = config::parse(text, "f.toml");
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().error == EINVAL);
  CHECK(got.error().context.find('\n') == std::string::npos);
  return got.error().context;
}

/// A file that is gone when the test is.
class temporary_file {
public:
  explicit temporary_file(std::string_view text)
      : path_(std::filesystem::temp_directory_path() / ("pcibackd_settings_" + std::to_string(::getpid()) + ".toml")) {
    std::ofstream{path_} << text;
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  ~temporary_file() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

} // namespace

TEST_CASE("an empty file gives the defaults") {
  const auto got = config::parse("", "f.toml");
  REQUIRE(got.has_value());
  CHECK(got->socket == "/run/pcibackd/control.sock");
  CHECK(got->level == config::log_level::info);
  CHECK(got->runtime == "/run/pcibackd");
  CHECK(got->metrics_file.empty());
  CHECK(got->topology == pci::topology_mode::vpci);
  CHECK(got->function_numbers == pci::function_numbers::from_zero);
  CHECK(got->frontend_patience == std::chrono::milliseconds{2000});
  CHECK(got->aer_patience == std::chrono::seconds{30});
  CHECK_FALSE(got->permissive);
  CHECK(got->line_rate == 20000);
  CHECK(got->interrupt_rate == 25);
  CHECK(got->access_rate == 20000);
  CHECK(got->polling.longest == std::chrono::microseconds{200});
  CHECK(got->polling.share == 5);
  CHECK(got->devices.empty());
  CHECK(got->guests.empty());
}

TEST_CASE("the metrics' file is one that node_exporter reads") {
  const auto got = config::parse("[daemon]\nmetrics_file = \"/var/lib/node/pcibackd.prom\"\n", "f.toml");
  REQUIRE(got.has_value());
  CHECK(got->metrics_file == "/var/lib/node/pcibackd.prom");
  for (const std::string bad :
       {"", "pcibackd.prom", "/tmp/pcibackd", "/tmp/.prom", "/tmp/pcibackd.prom/", "/a\\u0000.prom"}) {
    CAPTURE(bad);
    CHECK(complaint_of("[daemon]\nmetrics_file = \"" + bad + "\"\n").find("f.toml:2:16: metrics_file: is not") == 0);
  }
}

TEST_CASE("every setting is read") {
  const auto got = config::parse(R"([daemon]
socket = "/tmp/x.sock"
log_level = "warning"
topology = "passthrough"
function_numbers = "kept"
frontend_patience_ms = 250
line_rate = 5000
interrupt_rate = 7
access_rate = 300
poll_us = 20
poll_share = 100
aer_patience_s = 600
permissive = true
power = "auto"
runtime = "/tmp/run"
[[device]]
match = "0000:00:04.0"
hold = false
seize = true
permissive = true
keep_policy = true
allow_interrupt_control = true
msi = false
msix = false
quirks = ["4c:4:ffffffff", "50:1:0f"]
line = "refuse"
aer = "detach"
rdm = "relaxed"
reuse = "after_guest"
share_pages = true
power = "d0"
[[device]]
match = "03:00.1"
line = "noirqdebug"
[[device]]
match = "03:00.2"
[[guest]]
match = "bsd"
hot_plug = false
[[guest]]
match = "0f6ff4f0-2d4f-4a4e-9f2c-0a5a3e6d1c11"
)",
                                 "f.toml");
  REQUIRE(got.has_value());
  CHECK(got->socket == "/tmp/x.sock");
  CHECK(got->level == config::log_level::warning);
  CHECK(got->topology == pci::topology_mode::passthrough);
  CHECK(got->function_numbers == pci::function_numbers::kept);
  CHECK(got->frontend_patience == std::chrono::milliseconds{250});
  CHECK(got->line_rate == 5000);
  CHECK(got->interrupt_rate == 7);
  CHECK(got->access_rate == 300);
  CHECK(got->polling.longest == std::chrono::microseconds{20});
  CHECK(got->polling.share == 100);
  CHECK(got->aer_patience == std::chrono::seconds{600});
  CHECK(got->permissive);
  CHECK(got->runtime == "/tmp/run");
  REQUIRE(got->devices.size() == 3);
  const auto& first = got->devices[0];
  CHECK(first.match == pci::make_sbdf(0, 0, 4, 0));
  CHECK_FALSE(first.hold);
  CHECK(first.seize);
  CHECK(first.keep_policy);
  const std::vector<pci::quirk> quirks{{0x4c, 4, 0xffffffff}, {0x50, 1, 0x0f}};
  CHECK(first.policy == pci::policy{true, true, false, false, quirks, pci::line_policy::refuse,
                                    pci::error_policy::detach, pci::rdm_policy::relaxed, pci::reuse_policy::after_guest,
                                    true});
  const auto& second = got->devices[1];
  CHECK(second.match == pci::make_sbdf(0, 3, 0, 1));
  CHECK(second.hold);
  CHECK_FALSE(second.seize);
  CHECK(second.policy.line == pci::line_policy::noirqdebug);
  CHECK(got->devices[2].policy == pci::policy{});
  CHECK(got->power == pci::power_policy::automatic);
  CHECK(first.policy_with(*got).power == pci::power_policy::d0);
  CHECK(second.policy_with(*got).power == pci::power_policy::automatic);
  CHECK_FALSE(second.keep_policy);
  REQUIRE(got->guests.size() == 2);
  CHECK(got->guests[0].match == "bsd");
  CHECK_FALSE(got->guests[0].hot_plug);
  CHECK(got->guests[1].hot_plug);
}

TEST_CASE("each kind of bad input is named with its line and column, and how to mend it") {
  struct row {
    const char* text;
    const char* at;
    const char* says;
    const char* cure;
  };
  static constexpr row rows[] = {
      // the syntax
      {"[daemon\nsocket=\"/a\"", "f.toml:1:8: ", "syntax error: ", ": "},
      {"[daemon]\nsocket = ", "f.toml:2:10: ", "syntax error: ", ": "},
      {"[daemon]\nsocket=\"/a\"\nsocket=\"/b\"\n", "f.toml:3:", "syntax error: ", ": "},
      {"[daemon]\n\n  log_level = \"info\n", "f.toml:3:", "syntax error: ", ": "},
      {"\xff\xfe", "f.toml:1:1: ", "syntax error: ", ": "},
      {"\xcb\xa3", "f.toml:1:1: ", "syntax error: ", ": "},
      {"a= -\"\u02e3", "f.toml:1:4: ", "syntax error: ", ": "},
      {"[daemon]\nsocket=\"/\xff\"\n", "f.toml:2:9: ", "syntax error: ", ": "},
      // unknown keys
      {"[demon]\n", "f.toml:1:2: ", "unknown key \"demon\"", "did you mean \"daemon\"?"},
      {"[daemon]\nsokket=\"/a\"\n", "f.toml:2:1: ", "unknown key \"sokket\"", "did you mean \"socket\"?"},
      {"[[device]]\nmatch=\"00:04.0\"\n  msxi=true\n", "f.toml:3:3: ", "unknown key \"msxi\"", "did you mean \"msi\"?"},
      {"\"a\\nb\"=1\n", "f.toml:1:1: ", "unknown key \"a?b\"", "the keys here are daemon, hide, device, guest, assign"},
      // wrong kinds
      {"daemon=3\n", "f.toml:1:8: ", "not an integer", "must be a table"},
      {"[device]\nmatch=\"00:04.0\"\n", "f.toml:1:1: ", "not a table", "each under its own [[name]]"},
      {"device=[1]\n", "f.toml:1:9: ", "not an integer", "must be a table"},
      {"[daemon]\nsocket=1\n", "f.toml:2:8: ", "not an integer", "a string in double quotes"},
      {"[daemon]\nlog_level=true\n", "f.toml:2:11: ", "not a boolean", "one of \"trace\""},
      {"[daemon]\nfrontend_patience_ms=1.5\n", "f.toml:2:22: ", "not a decimal number", "an integer from 100"},
      {"[daemon]\ntopology=1979-05-27\n", "f.toml:2:10: ", "not a date or time", "one of \"vpci\""},
      {"[[device]]\nmatch=\"00:04.0\"\nhold=\"yes\"\n", "f.toml:3:6: ", "not a string", "true or false"},
      {"[[device]]\nmatch=\"00:04.0\"\nkeep_policy=1\n", "f.toml:3:13: ", "not an integer", "true or false"},
      {"[daemon]\npermissive=\"no\"\n", "f.toml:2:12: ", "not a string", "true or false"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=\"4c:4:f\"\n", "f.toml:3:8: ", "not a string", "must be an array"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=[4]\n", "f.toml:3:9: ", "not an integer", "REGISTER:SIZE:MASK"},
      {"[[device]]\nmatch=4\n", "f.toml:2:7: ", "not an integer", "must be an address"},
      // values out of range
      {"[daemon]\nlog_level=\"loud\"\n", "f.toml:2:11: ", "not \"loud\"", "one of \"trace\""},
      {"[daemon]\nfunction_numbers=\"own\"\n", "f.toml:2:18: ", "not \"own\"", "\"from_zero\", \"kept\""},
      {"[daemon]\ntopology=\"slot\"\n", "f.toml:2:10: ", "not \"slot\"", "\"vpci\", \"passthrough\""},
      {"[daemon]\nfrontend_patience_ms=99\n", "f.toml:2:22: ", "not 99", "from 100 to 600000"},
      {"[daemon]\nfrontend_patience_ms=600001\n", "f.toml:2:22: ", "must be an integer", "from 100 to 600000"},
      {"[daemon]\nline_rate=99\n", "f.toml:2:11: ", "not 99", "from 100 to 1000000"},
      {"[daemon]\ninterrupt_rate=4\n", "f.toml:2:16: ", "not 4", "from 5 to 1000"},
      {"[daemon]\naccess_rate=99\n", "f.toml:2:13: ", "not 99", "from 100 to 1000000"},
      {"[daemon]\npoll_us=1001\n", "f.toml:2:9: ", "not 1001", "from 0 to 1000"},
      {"[daemon]\npoll_share=101\n", "f.toml:2:12: ", "not 101", "from 0 to 100"},
      {"[daemon]\nline_rate=1000001\n", "f.toml:2:11: ", "must be an integer", "from 100 to 1000000"},
      {"[[device]]\nmatch=\"00:04.0\"\nline=\"ack\"\n", "f.toml:3:6: ", "ack", "noirqdebug"},
      {"[[device]]\nmatch=\"00:04.0\"\nline=true\n", "f.toml:3:6: ", "not a boolean", "one of \"acknowledge\""},
      {"[daemon]\nfrontend_patience_ms=-1\n", "f.toml:2:22: ", "not -1", "from 100 to 600000"},
      {"[daemon]\nruntime=\"run\"\n", "f.toml:2:9: ", "must be the absolute path of a directory", "such as"},
      {"[daemon]\nruntime=\"\"\n", "f.toml:2:9: ", "must be the absolute path of a directory", "such as"},
      {"[daemon]\nruntime=7\n", "f.toml:2:9: ", "not an integer", "a string in double quotes"},
      {"[daemon]\nsocket=\"run/x\"\n", "f.toml:2:8: ", "must be the absolute path", "such as"},
      {"[daemon]\nsocket=\"/run/\"\n", "f.toml:2:8: ", "must be the absolute path", "such as"},
      {"[daemon]\nsocket=\"\"\n", "f.toml:2:8: ", "must be the absolute path", "such as"},
      {"[daemon]\nsocket=\"/a\\u0000b\"\n", "f.toml:2:8: ", "must be the absolute path", "such as"},
      // devices
      {"[[device]]\nmatch=\"00:20.0\"\n", "f.toml:2:7: ", "00:20.0", "must be an address"},
      {"[[device]]\naddress=\"00:*.1\"\n", "f.toml:2:9: ", "expected '*' at column 6", "must be an address"},
      {"[[device]]\naddress=\"00:04.0\"\nmatch=\"00:04.0\"\n", "f.toml:3:7: ", "mean the same", "keep one of them"},
      {"[[device]]\nids=\"8086\"\n", "f.toml:2:5: ", "ids: \"8086\": expected ':' at column 5",
       "must be vendor and device"},
      {"[[device]]\nids=8086\n", "f.toml:2:5: ", "not an integer", "must be vendor and device"},
      {"[[device]]\nclass=\"020\"\n", "f.toml:2:7: ", "at column 4", "must be a class"},
      {"[[device]]\nclass=[]\n", "f.toml:2:7: ", "not an array", "must be a class"},
      {"[[device]]\nclass=\"02\"\n[[device]]\nclass=\"02****\"\n",
       "f.toml:3:1: ", "of class 02 already has a [[device]]", "keep one of the two"},
      {"[[device]]\naddress=\"03:*.*\"\n[[device]]\nmatch=\"0000:03:*.*\"\n", "f.toml:3:1: ", "0000:03:*.*",
       "keep one of the two"},
      {"[[device]]\nclass=\"02\"\noverride_boot=true\n", "f.toml:1:1: ", "override_boot is for a single function",
       "give its full address"},
      // pins
      {"[[device]]\nids=\"8086:10d3\"\npin={serial=\"52-54-00-ff-ff-12-34-56\"}\n",
       "f.toml:1:1: ", "a pin is for a single function", "give its full address"},
      {"[[device]]\naddress=\"03:00.*\"\npin={ids=\"8086:10d3\"}\n", "f.toml:1:1: ", "a pin is for a single function",
       "give its full address"},
      {"[[device]]\naddress=\"03:00.0\"\npin={}\n", "f.toml:3:5: ", "pin: is empty", "add ids, subsystem or serial"},
      {"[[device]]\naddress=\"03:00.0\"\npin={ids=\"8086:*\"}\n", "f.toml:3:10: ", "pin: ids: a pin names one kind",
       "must be vendor and device"},
      {"[[device]]\naddress=\"03:00.0\"\npin={subsystem=\"8086\"}\n", "f.toml:3:16: ", "expected ':'",
       "must be vendor"},
      {"[[device]]\naddress=\"03:00.0\"\npin={serial=\"52\"}\n", "f.toml:3:13: ", "expected '-' at column 3",
       "must be a Device Serial Number"},
      {"[[device]]\naddress=\"03:00.0\"\npin={mac=\"\"}\n", "f.toml:3:6: ", "unknown key \"mac\"",
       "the keys here are ids, subsystem, serial"},
      {"[[device]]\naddress=\"03:00.0\"\npin=1\n", "f.toml:3:5: ", "not an integer", "must be a table"},
      // hide=
      {"hide=\"03:00.0\"\n", "f.toml:1:6: ", "hide: \"03:00.0\": expected '(' at column 1", "addresses in parentheses"},
      {"hide=\"(03:00.0)(0b::00.1)\"\n", "f.toml:1:6: ", "\"(0b::00.1)\": expected a bus, 0 to ff at column 5",
       "addresses in parentheses"},
      {"hide=[]\n", "f.toml:1:6: ", "not an array", "addresses in parentheses"},
      // assignments
      {"[[assign]]\ndomain=\"web\"\n", "f.toml:1:1: ", "\"devices\" is missing", "add devices = "},
      {"[[assign]]\ndevices=[]\n", "f.toml:1:1: ", "\"domain\" is missing", "add domain = "},
      {"[[assign]]\ndomain=\"\"\ndevices=[]\n", "f.toml:2:8: ", "is empty", "the name or the UUID"},
      {"[[assign]]\ndomain=3\ndevices=[]\n", "f.toml:2:8: ", "not an integer", "a string"},
      {"[[assign]]\ndomain=\"web\"\ndevices=\"03:00.0\"\n", "f.toml:3:9: ", "not a string", "must be an array"},
      {"[[assign]]\ndomain=\"web\"\ndevices=[\"03:00.*\"]\n", "f.toml:3:10: ", "03:00.*", "must be an address"},
      {"[[assign]]\ndomain=\"web\"\ndevices=[\"03:00.0\",\"0000:03:00.0\"]\n",
       "f.toml:3:9: ", "0000:03:00.0 is listed twice", "list it once"},
      {"[[assign]]\ndomain=\"web\"\ndevices=[]\n[[assign]]\ndomain=\"web\"\ndevices=[]\n",
       "f.toml:4:1: ", "\"web\" already has an [[assign]]", "put all its devices into one"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=[\"4c:3:0\"]\n", "f.toml:3:9: ", "4c:3:0", "REGISTER:SIZE:MASK"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=[\"4c:4:0\",\n\"1000:1:0\"]\n", "f.toml:4:1: ", "1000:1:0",
       "REGISTER:SIZE:MASK"},
      {"[[guest]]\nhot_plug=false\n", "f.toml:1:1: ", "\"match\" is missing", "add match = "},
      {"[[guest]]\nmatch=\"\"\n", "f.toml:2:7: ", "must be the name or the UUID", "`xl list -v`"},
      {"[[guest]]\nmatch=\"a/b\"\n", "f.toml:2:7: ", "must be the name or the UUID", "`xl list -v`"},
      {"[[guest]]\nmatch=\"a\"\nhot_plug=0\n", "f.toml:3:10: ", "not an integer", "true or false"},
      {"[[guest]]\nmatch=\"a\"\n[[guest]]\nmatch=\"a\"\n", "f.toml:3:1: ", "\"a\" already has a [[guest]]", "keep one"},
      {"[[device]]\nhold=true\n", "f.toml:1:1: ", "matches nothing", "add address, ids or class"},
      {"[[device]]\nmatch=\"00:04.0\"\n[[device]]\nmatch=\"0000:00:04.0\"\n", "f.toml:3:1: ", "0000:00:04.0",
       "keep one of the two"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto words = complaint_of(row.text);
    CAPTURE(words);
    CHECK(words.rfind(row.at, 0) == 0);
    CHECK(words.find(row.says) != std::string::npos);
    CHECK(words.find(row.cure) != std::string::npos);
  }
}

TEST_CASE("devices are chosen by what they are, hidden by the kernel's list, and assigned") {
  const auto got = config::parse(R"toml(hide = "(0000:03:00.0)(04:00.*) (05:*.*)"
[[device]]
ids = "8086:10d3"
[[device]]
address = "03:*.*"
class = "02"
hold = false
[[device]]
address = "0000:07:00.0"
override_boot = true
pin = { ids = "8086:10d3", subsystem = "8086:0001", serial = "52-54-00-ff-ff-12-34-56" }
[[assign]]
domain = "web"
devices = ["0000:07:00.0", "03:00.0"]
[[assign]]
domain = "6b8f1e2c-0000-4000-8000-0123456789ab"
devices = []
)toml",
                                 "f.toml");
  REQUIRE(got.has_value());
  CHECK(got->hide == std::vector<pci::sbdf_pattern>{
                         {0, 3, std::uint8_t{0}, std::uint8_t{0}}, {0, 4, std::uint8_t{0}, {}}, {0, 5, {}, {}}});
  REQUIRE(got->devices.size() == 3);
  CHECK(pci::to_string(got->devices[0].match) == "8086:10d3");
  CHECK(pci::to_string(got->devices[1].match) == "0000:03:*.* of class 02");
  CHECK_FALSE(got->devices[1].hold);
  CHECK_FALSE(got->devices[1].pin);
  const auto& pinned = got->devices[2];
  CHECK(pinned.match == pci::make_sbdf(0, 7, 0, 0));
  CHECK(pinned.override_boot);
  CHECK(pinned.pin == pci::pin{pci::id_pattern{0x8086, 0x10d3}, pci::subsystem_ids{0x8086, 1}, 0x525400ffff123456});
  REQUIRE(got->assignments.size() == 2);
  CHECK(got->assignments[0].domain == "web");
  CHECK(got->assignments[0].devices == std::vector<pci::sbdf>{pci::make_sbdf(0, 7, 0, 0), pci::make_sbdf(0, 3, 0, 0)});
  CHECK(got->assignments[1].devices.empty());
}

TEST_CASE("a socket's path may have 107 bytes and no more") {
  const auto with = [](std::size_t size) { return "[daemon]\nsocket=\"/" + std::string(size - 1, 'x') + "\"\n"; };
  CHECK(config::parse(with(107), "f.toml").has_value());
  CHECK(complaint_of(with(108)).find("f.toml:2:8: socket: must have at most 107 bytes") == 0);
}

TEST_CASE("of several mistakes the first in the file is reported") {
  CHECK(complaint_of("[daemon]\ntopology=1\nlog_level=1\n").rfind("f.toml:2:10: ", 0) == 0);
  CHECK(complaint_of("[daemon]\nlog_level=1\ntopology=1\n").rfind("f.toml:2:11: ", 0) == 0);
}

TEST_CASE("settings come from a file, and its name stands in the failure") {
  const temporary_file good{"[daemon]\nlog_level=\"debug\"\n"};
  const auto got = config::load(good.path());
  REQUIRE(got.has_value());
  CHECK(got->level == config::log_level::debug);

  const temporary_file bad{"x=1\n"};
  const auto failed = config::load(bad.path());
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().context.rfind(bad.path().string() + ":1:1: unknown key", 0) == 0);
}

TEST_CASE("a file that cannot be read is named") {
  const auto absent = config::load("/nowhere/pcibackd.toml");
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().error == ENOENT);
  CHECK(absent.error().context == "/nowhere/pcibackd.toml cannot be read");
  const auto directory = config::load("/");
  REQUIRE_FALSE(directory.has_value());
  CHECK(directory.error().context == "/ is not a file");
}

TEST_CASE("a file beyond 1 MiB is refused") {
  const temporary_file big{std::string((1U << 20U) + 1, '#')};
  const auto got = config::load(big.path());
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().error == EFBIG);
  const temporary_file fits{std::string(1U << 20U, '#')};
  CHECK(config::load(fits.path()).has_value());
}
