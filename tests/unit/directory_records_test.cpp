// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/directory_records.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>

using platform::linux_host::directory_records;

namespace {

struct directory {
  std::filesystem::path path;
  directory() {
    auto name = (std::filesystem::temp_directory_path() / "pcibackd_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;
  ~directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

} // namespace

TEST_CASE("records in a directory are replaced as a whole, and outlive who wrote them") {
  const directory there;
  auto opened = directory_records::open(there.path / "a" / "b");
  REQUIRE(opened);
  auto& all = **opened;
  CHECK(all.names().value().empty());
  CHECK(all.read("0000:03:00.0").error().error == ENOENT);
  REQUIRE(all.write("0000:03:00.0", "first"));
  REQUIRE(all.write("0000:03:00.0", "second"));
  REQUIRE(all.write("0000:00:04.0", ""));
  const auto again = directory_records::open(there.path / "a" / "b").value();
  CHECK(again->names().value() == std::vector<std::string>{"0000:00:04.0", "0000:03:00.0"});
  CHECK(again->read("0000:03:00.0") == "second");
  CHECK(again->read("0000:00:04.0") == "");
  using std::filesystem::perms;
  const auto rights = std::filesystem::status(there.path / "a" / "b" / "0000:03:00.0.json").permissions();
  CHECK((rights & (perms::group_all | perms::others_all)) == perms::none);
  REQUIRE(again->remove("0000:00:04.0"));
  REQUIRE(again->remove("0000:00:04.0"));
  REQUIRE(again->set_aside("0000:03:00.0"));
  CHECK(again->names().value().empty());
  CHECK(std::filesystem::exists(there.path / "a" / "b" / "0000:03:00.0.bad"));
}

TEST_CASE("a record that could not be replaced is doubted until it is, and lost to nobody") {
  const directory there;
  auto all = directory_records::open(there.path).value();
  REQUIRE(all->doubt("0000:03:00.0")); // none is there
  REQUIRE(all->write("0000:03:00.0", "first"));
  CHECK_FALSE(all->doubted("0000:03:00.0"));
  REQUIRE(all->doubt("0000:03:00.0"));
  REQUIRE(all->doubt("0000:03:00.0"));
  const auto again = directory_records::open(there.path).value();
  CHECK(again->doubted("0000:03:00.0"));
  CHECK(again->names().value() == std::vector<std::string>{"0000:03:00.0"});
  CHECK(again->read("0000:03:00.0") == "first");
  SUBCASE("replaced") {
    REQUIRE(again->write("0000:03:00.0", "second"));
    CHECK_FALSE(again->doubted("0000:03:00.0"));
    CHECK(again->read("0000:03:00.0") == "second");
  }
  SUBCASE("replaced, and the writer killed at once") {
    std::ofstream(there.path / "0000:03:00.0.json") << "second";
    CHECK_FALSE(again->doubted("0000:03:00.0"));
    CHECK(again->read("0000:03:00.0") == "second");
    CHECK(again->names().value().size() == 1);
  }
  SUBCASE("removed") {
    REQUIRE(again->remove("0000:03:00.0"));
    CHECK(again->names().value().empty());
  }
  SUBCASE("set aside") {
    REQUIRE(again->set_aside("0000:03:00.0"));
    CHECK(again->names().value().empty());
    CHECK(std::filesystem::exists(there.path / "0000:03:00.0.bad"));
  }
}

TEST_CASE("what a killed writer left half-written is not a record") {
  const directory there;
  auto all = directory_records::open(there.path).value();
  REQUIRE(all->write("0000:03:00.0", "whole"));
  std::ofstream(there.path / "0000:03:00.0.next") << "ha";
  CHECK(all->names().value() == std::vector<std::string>{"0000:03:00.0"});
  CHECK(all->read("0000:03:00.0") == "whole");
  REQUIRE(all->write("0000:03:00.0", "again"));
  CHECK(all->read("0000:03:00.0") == "again");
}

TEST_CASE("records that cannot be are failures with their reason") {
  const directory there;
  std::ofstream(there.path / "file") << "x";
  CHECK_FALSE(directory_records::open(there.path / "file"));
  auto all = directory_records::open(there.path / "d").value();
  CHECK(all->write("big", std::string(directory_records::largest + 1, 'x')).error().error == EFBIG);
  std::ofstream(there.path / "d" / "big.json") << std::string(directory_records::largest + 1, 'x');
  CHECK(all->read("big").error().error == EFBIG);
  std::filesystem::create_symlink(there.path / "file", there.path / "d" / "link.json");
  CHECK(all->read("link").error().error == ELOOP);
  std::filesystem::remove_all(there.path / "d");
  CHECK(all->write("a", "b").error().error == ENOENT);
  CHECK(all->names().error().error == ENOENT);
  CHECK(all->set_aside("a").error().error == ENOENT);
}

TEST_CASE("records of another kind have another suffix, and do not see each other") {
  const directory there;
  const auto journal = directory_records::open(there.path).value();
  const auto held = directory_records::open(there.path, ".held").value();
  REQUIRE(held->write("0000:03:00.0", std::string("\0\1", 2)));
  CHECK(journal->names().value().empty());
  CHECK(held->names().value() == std::vector<std::string>{"0000:03:00.0"});
  CHECK(held->read("0000:03:00.0").value() == std::string("\0\1", 2));
  REQUIRE(held->remove("0000:03:00.0"));
  CHECK(held->names().value().empty());
}
