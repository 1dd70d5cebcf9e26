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
  CHECK(got->topology == pci::topology_mode::vpci);
  CHECK(got->frontend_patience == std::chrono::milliseconds{5000});
  CHECK(got->aer_patience == std::chrono::seconds{30});
  CHECK(got->devices.empty());
}

TEST_CASE("every setting is read") {
  const auto got = config::parse(R"([daemon]
socket = "/tmp/x.sock"
log_level = "warning"
topology = "passthrough"
frontend_patience_ms = 250
aer_patience_s = 600
[[device]]
match = "0000:00:04.0"
hold = false
seize = true
permissive = true
allow_interrupt_control = true
msi = false
msix = false
quirks = ["4c:4:ffffffff", "50:1:0f"]
aer = "detach"
[[device]]
match = "03:00.1"
)",
                                 "f.toml");
  REQUIRE(got.has_value());
  CHECK(got->socket == "/tmp/x.sock");
  CHECK(got->level == config::log_level::warning);
  CHECK(got->topology == pci::topology_mode::passthrough);
  CHECK(got->frontend_patience == std::chrono::milliseconds{250});
  CHECK(got->aer_patience == std::chrono::seconds{600});
  REQUIRE(got->devices.size() == 2);
  const auto& first = got->devices[0];
  CHECK(first.match == pci::make_sbdf(0, 0, 4, 0));
  CHECK_FALSE(first.hold);
  CHECK(first.seize);
  const std::vector<pci::quirk> quirks{{0x4c, 4, 0xffffffff}, {0x50, 1, 0x0f}};
  CHECK(first.policy == pci::policy{true, true, false, false, quirks, pci::error_policy::detach});
  const auto& second = got->devices[1];
  CHECK(second.match == pci::make_sbdf(0, 3, 0, 1));
  CHECK(second.hold);
  CHECK_FALSE(second.seize);
  CHECK(second.policy == pci::policy{});
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
      {"[daemon\nsocket=\"/a\"", "f.toml:1:8: ", "not TOML", "mend the syntax"},
      {"[daemon]\nsocket = ", "f.toml:2:10: ", "not TOML", "mend the syntax"},
      {"[daemon]\nsocket=\"/a\"\nsocket=\"/b\"\n", "f.toml:3:", "not TOML", "mend the syntax"},
      {"[daemon]\n\n  log_level = \"info\n", "f.toml:3:", "not TOML", "mend the syntax"},
      {"\xff\xfe", "f.toml:1:1: ", "not TOML", "mend the syntax"},
      {"\xcb\xa3", "f.toml:1:1: ", "not TOML", "mend the syntax"},
      {"a= -\"\u02e3", "f.toml:1:4: ", "not TOML", "mend the syntax"},
      {"[daemon]\nsocket=\"/\xff\"\n", "f.toml:2:9: ", "not TOML", "mend the syntax"},
      // unknown keys
      {"[demon]\n", "f.toml:1:2: ", "unknown key \"demon\"", "use daemon, device"},
      {"[daemon]\nsokket=\"/a\"\n", "f.toml:2:1: ", "unknown key \"sokket\"", "use socket, log_level"},
      {"[[device]]\nmatch=\"00:04.0\"\n  msxi=true\n", "f.toml:3:3: ", "unknown key \"msxi\"", "msi, msix"},
      {"\"a\\nb\"=1\n", "f.toml:1:1: ", "unknown key \"a?b\"", "use daemon, device"},
      // wrong kinds
      {"daemon=3\n", "f.toml:1:8: ", "an integer stands here", "give a table"},
      {"[device]\nmatch=\"00:04.0\"\n", "f.toml:1:1: ", "a table stands here", "each under a [[name]]"},
      {"device=[1]\n", "f.toml:1:9: ", "an integer stands here", "give a table"},
      {"[daemon]\nsocket=1\n", "f.toml:2:8: ", "an integer stands here", "a string in double quotes"},
      {"[daemon]\nlog_level=true\n", "f.toml:2:11: ", "a boolean stands here", "one of \"trace\""},
      {"[daemon]\nfrontend_patience_ms=1.5\n", "f.toml:2:22: ", "a decimal number stands here", "an integer from 100"},
      {"[daemon]\ntopology=1979-05-27\n", "f.toml:2:10: ", "a date or time stands here", "one of \"vpci\""},
      {"[[device]]\nmatch=\"00:04.0\"\nhold=\"yes\"\n", "f.toml:3:6: ", "a string stands here", "true or false"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=\"4c:4:f\"\n", "f.toml:3:8: ", "a string stands here", "give an array"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=[4]\n", "f.toml:3:9: ", "an integer stands here", "a string"},
      {"[[device]]\nmatch=4\n", "f.toml:2:7: ", "an integer stands here", "give an address"},
      // values out of range
      {"[daemon]\nlog_level=\"loud\"\n", "f.toml:2:11: ", "\"loud\" is not known", "one of \"trace\""},
      {"[daemon]\ntopology=\"slot\"\n", "f.toml:2:10: ", "\"slot\" is not known", "\"vpci\", \"passthrough\""},
      {"[daemon]\nfrontend_patience_ms=99\n", "f.toml:2:22: ", "99 is out of range", "from 100 to 600000"},
      {"[daemon]\nfrontend_patience_ms=600001\n", "f.toml:2:22: ", "out of range", "from 100 to 600000"},
      {"[daemon]\nfrontend_patience_ms=-1\n", "f.toml:2:22: ", "-1 is out of range", "from 100 to 600000"},
      {"[daemon]\nsocket=\"run/x\"\n", "f.toml:2:8: ", "not the absolute path", "such as"},
      {"[daemon]\nsocket=\"/run/\"\n", "f.toml:2:8: ", "not the absolute path", "such as"},
      {"[daemon]\nsocket=\"\"\n", "f.toml:2:8: ", "not the absolute path", "such as"},
      {"[daemon]\nsocket=\"/a\\u0000b\"\n", "f.toml:2:8: ", "not the absolute path", "such as"},
      // devices
      {"[[device]]\nmatch=\"00:20.0\"\n", "f.toml:2:7: ", "00:20.0", "give an address"},
      {"[[device]]\nmatch=\"00:04.*\"\n", "f.toml:2:7: ", "00:04.*", "give an address"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=[\"4c:3:0\"]\n", "f.toml:3:9: ", "4c:3:0", "REGISTER:SIZE:MASK"},
      {"[[device]]\nmatch=\"00:04.0\"\nquirks=[\"4c:4:0\",\n\"1000:1:0\"]\n", "f.toml:4:1: ", "1000:1:0",
       "REGISTER:SIZE:MASK"},
      {"[[device]]\nhold=true\n", "f.toml:1:1: ", "\"match\" is missing", "add match = "},
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
    CHECK(words.find("; ") != std::string::npos);
  }
}

TEST_CASE("a socket's path may have 107 bytes and no more") {
  const auto with = [](std::size_t size) { return "[daemon]\nsocket=\"/" + std::string(size - 1, 'x') + "\"\n"; };
  CHECK(config::parse(with(107), "f.toml").has_value());
  CHECK(complaint_of(with(108)).find("f.toml:2:8: socket: is longer than the 107 bytes") == 0);
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
  CHECK(absent.error().context == "/nowhere/pcibackd.toml: cannot be read");
  const auto directory = config::load("/");
  REQUIRE_FALSE(directory.has_value());
  CHECK(directory.error().context == "/: is not a file");
}

TEST_CASE("a file beyond 1 MiB is refused") {
  const temporary_file big{std::string((1U << 20U) + 1, '#')};
  const auto got = config::load(big.path());
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().error == EFBIG);
  const temporary_file fits{std::string(1U << 20U, '#')};
  CHECK(config::load(fits.path()).has_value());
}
