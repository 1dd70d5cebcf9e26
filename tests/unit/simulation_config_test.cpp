// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <doctest/doctest.h>

#include "config/simulation.hpp"

namespace {

std::string complaint_of(std::string_view text) {
  const auto got = config::parse_simulation(text, "s.toml");
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().error == EINVAL);
  CHECK(got.error().context.find('\n') == std::string::npos);
  return got.error().context;
}

} // namespace

TEST_CASE("a simulated host is read, guests before their functions too") {
  const auto got = config::parse_simulation(R"([[guest]]
name = "web-1.example"
functions = ["0000:00:03.0", "00:04.0"]
frontend = "mini-os"
driver = "nvme"
operations = 1000
start_delay_ms = 20

[[function]]
address = "0000:00:03.0"
model = "e1000e"
gsi = 23

[[function]]
address = "0000:00:04.0"
dump = "dumps/nvme.txt"
gsi = 20
level = false

[[function]]
address = "0000:00:05.0"
dump = "/var/lib/dump.txt"

[[guest]]
name = "idle"
functions = []
)",
                                            "/etc/sim/host.toml");
  REQUIRE(got.has_value());
  REQUIRE(got->functions.size() == 3);
  CHECK(got->functions[0].address == pci::make_sbdf(0, 0, 3, 0));
  CHECK(got->functions[0].model == config::device_model::e1000e);
  CHECK_FALSE(got->functions[0].dump.has_value());
  CHECK(got->functions[0].gsi == 23);
  CHECK(got->functions[0].level);
  CHECK_FALSE(got->functions[1].model.has_value());
  CHECK(got->functions[1].dump == "/etc/sim/dumps/nvme.txt");
  CHECK_FALSE(got->functions[1].level);
  CHECK(got->functions[2].dump == "/var/lib/dump.txt");
  CHECK(got->functions[2].gsi == 0);

  REQUIRE(got->guests.size() == 2);
  CHECK(got->guests[0].name == "web-1.example");
  CHECK(got->guests[0].functions == std::vector{pci::make_sbdf(0, 0, 3, 0), pci::make_sbdf(0, 0, 4, 0)});
  CHECK(got->guests[0].frontend == config::guest_frontend::mini_os);
  CHECK(got->guests[0].driver == config::guest_driver::nvme);
  CHECK(got->guests[0].operations == 1000);
  CHECK(got->guests[0].start_delay == std::chrono::milliseconds{20});
  CHECK(got->guests[1].functions.empty());
  CHECK(got->guests[1].frontend == config::guest_frontend::linux);
  CHECK(got->guests[1].driver == config::guest_driver::generic);
}

TEST_CASE("what a function and a guest are like is read") {
  const auto got = config::parse_simulation(R"([[function]]
address = "0000:00:03.0"
model = "e1000e"
gsi = 23
driver = "e1000e"
driver_uses_line = true
reset_ms = 1500
resets = ["flr", "bus"]
[[function]]
address = "0000:00:04.0"
dump = "all.txt"
dump_address = "0000:65:00.0"
resets = []
page_of = "00:03.0"
[[guest]]
name = "web"
functions = []
autostart = false
habit = "slow"
slow_ms = 10
on_crash = "restart"
[[guest]]
name = "usual"
functions = []
)",
                                            "s.toml");
  REQUIRE(got.has_value());
  const auto& first = got->functions[0];
  CHECK(first.driver == "e1000e");
  CHECK(first.driver_uses_line);
  CHECK(first.reset_time == std::chrono::milliseconds{1500});
  CHECK(first.resets == std::vector{pci::reset_method::flr, pci::reset_method::bus});
  CHECK_FALSE(first.page_of);
  const auto& second = got->functions[1];
  CHECK(second.driver.empty());
  CHECK(second.dump_address == pci::make_sbdf(0, 0x65, 0, 0));
  CHECK(second.resets == std::vector<pci::reset_method>{});
  CHECK(second.page_of == pci::make_sbdf(0, 0, 3, 0));
  CHECK(second.at.line == 9);
  CHECK_FALSE(got->guests[0].autostart);
  CHECK(got->guests[0].habit == config::guest_habit::slow);
  CHECK(got->guests[0].slowness == std::chrono::milliseconds{10});
  CHECK(got->guests[0].on_crash == config::crash_action::restart);
  CHECK(got->guests[1].autostart);
  CHECK(got->guests[1].habit == config::guest_habit::normal);
  CHECK(got->guests[1].on_crash == config::crash_action::destroy);
}

TEST_CASE("every model is known by its name") {
  using config::device_model;
  for (const auto model :
       {device_model::e1000e, device_model::nvme, device_model::e1000, device_model::nvme_vf, device_model::bridge}) {
    const auto name = std::string{config::to_string(model)};
    CAPTURE(name);
    const auto got = config::parse_simulation("[[function]]\naddress=\"00:03.0\"\nmodel=\"" + name + "\"\n", "s.toml");
    REQUIRE(got.has_value());
    CHECK(got->functions[0].model == model);
  }
}

TEST_CASE("each mistake in a simulated host is named with its line and column, and how to mend it") {
  struct row {
    const char* text;
    const char* at;
    const char* says;
    const char* cure;
  };
#define ONE_FUNCTION "[[function]]\naddress=\"00:03.0\"\nmodel=\"nvme\"\n"
  static constexpr row rows[] = {
      {"", "s.toml:1:1: ", "\"function\" is missing", "add a [[function]]"},
      {"[[function\n", "s.toml:1:", "syntax error: ", ": "},
      {ONE_FUNCTION "[[functions]]\n", "s.toml:4:3: ", "unknown key \"functions\"", "did you mean \"function\"?"},
      {"[[function]]\nmodel=\"nvme\"\n", "s.toml:1:1: ", "\"address\" is missing", "add address"},
      {"[[function]]\naddress=\"3\"\n", "s.toml:2:9: ", "3", "must be an address"},
      {"[[function]]\naddress=\"00:03.0\"\n", "s.toml:1:1: ", "neither \"model\" nor \"dump\"", "give one"},
      {"[[function]]\naddress=\"00:03.0\"\nmodel=\"nvme\"\ndump=\"x\"\n", "s.toml:1:1: ", "both", "give one"},
      {"[[function]]\naddress=\"00:03.0\"\nmodel=\"e100\"\n", "s.toml:3:7: ", "not \"e100\"", "\"e1000e\""},
      {"[[function]]\naddress=\"00:03.0\"\ndump=\"\"\n", "s.toml:3:6: ", "must be the name of a file", "lspci -xxxx"},
      {"[[function]]\naddress=\"00:03.0\"\ndump=1\n", "s.toml:3:6: ", "not an integer", "a string"},
      {ONE_FUNCTION "gsi=24\n", "s.toml:4:5: ", "not 24", "from 0 to 23"},
      {ONE_FUNCTION "gsi=-1\n", "s.toml:4:5: ", "not -1", "from 0 to 23"},
      {ONE_FUNCTION "level=1\n", "s.toml:4:7: ", "not an integer", "true or false"},
      {ONE_FUNCTION "irq=1\n", "s.toml:4:1: ", "unknown key \"irq\"", "gsi"},
      {ONE_FUNCTION "driver=\"\"\n", "s.toml:4:8: ", "must be the name of a Linux driver", "such as"},
      {ONE_FUNCTION "driver=\"a/b\"\n", "s.toml:4:8: ", "must be the name of a Linux driver", "such as"},
      {ONE_FUNCTION "driver=\"ahci\"\ndriver_uses_line=true\n", "s.toml:1:1: ", "without \"driver\" and \"gsi\"",
       "add"},
      {ONE_FUNCTION "reset_ms=600001\n", "s.toml:4:10: ", "not 600001", "from 0 to 600000"},
      {ONE_FUNCTION "resets=[\"frl\"]\n", "s.toml:4:9: ", "not \"frl\"", "\"flr\""},
      {ONE_FUNCTION "resets=\"flr\"\n", "s.toml:4:8: ", "not a string", "must be an array"},
      {ONE_FUNCTION "dump_address=\"00:03.0\"\n", "s.toml:1:1: ", "without \"dump\"", "add dump"},
      {ONE_FUNCTION "page_of=\"00:03.0\"\n", "s.toml:1:1: ", "0000:00:03.0", "another [[function]]"},
      {ONE_FUNCTION "page_of=\"00:04.0\"\n", "s.toml:1:1: ", "0000:00:03.0", "another [[function]]"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\nhabit=\"rude\"\n", "s.toml:7:7: ", "not \"rude\"",
       "\"hostile\""},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\non_crash=\"\"\n", "s.toml:7:10: ", "not \"\"", "\"restart\""},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\nautostart=1\n", "s.toml:7:11: ", "not an integer",
       "true or false"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\nslow_ms=-1\n", "s.toml:7:9: ", "not -1", "from 0"},
      {ONE_FUNCTION ONE_FUNCTION, "s.toml:4:1: ", "0000:00:03.0", "keep one"},
      {ONE_FUNCTION "[[guest]]\nfunctions=[]\n", "s.toml:4:1: ", "\"name\" is missing", "add name"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\n", "s.toml:4:1: ", "\"functions\" is missing", "add functions"},
      {ONE_FUNCTION "[[guest]]\nname=\"a/b\"\nfunctions=[]\n", "s.toml:5:6: ", "must be a guest's name", "letters"},
      {ONE_FUNCTION "[[guest]]\nname=\"\"\nfunctions=[]\n", "s.toml:5:6: ", "must be a guest's name", "letters"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=\"00:03.0\"\n", "s.toml:6:11: ", "a string", "must be an array"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[\"x\"]\n", "s.toml:6:12: ", "x", "must be an address"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[\"00:04.0\"]\n", "s.toml:4:1: ", "0000:00:04.0",
       "add a [[function]]"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[\"00:03.0\",\"00:03.0\"]\n", "s.toml:4:1: ", "listed twice",
       "list it once"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[\"00:03.0\"]\n[[guest]]\nname=\"b\"\nfunctions=[\"00:03.0\"]\n",
       "s.toml:7:1: ", "already belongs to \"a\"", "one guest"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\n[[guest]]\nname=\"a\"\nfunctions=[]\n",
       "s.toml:7:1: ", "already is a guest \"a\"", "another name"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\ndriver=\"e\"\n", "s.toml:7:8: ", "not \"e\"", "\"generic\""},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\noperations=-1\n", "s.toml:7:12: ", "must be an integer",
       "from 0"},
      {ONE_FUNCTION "[[guest]]\nname=\"a\"\nfunctions=[]\nstart_delay_ms=600001\n",
       "s.toml:7:16: ", "must be an integer", "600000"},
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

TEST_CASE("a file of a simulated host that is not there is named") {
  const auto got = config::load_simulation("/nowhere/host.toml");
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().error == ENOENT);
  CHECK(got.error().context == "/nowhere/host.toml cannot be read");
}
