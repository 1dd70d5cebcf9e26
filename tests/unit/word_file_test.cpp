// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/word_file.hpp"

#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "platform/linux/directory_records.hpp"
#include "unit/fake_sysfs.hpp"

using platform::lasting_words;
using platform::linux_host::map_word_file;
using platform::linux_host::open_word_file;

TEST_CASE("lasting words are zero at first, and are there for whoever maps the file next") {
  const test::temporary_directory there;
  const auto file = there.path() / "words";
  {
    const auto opened = open_word_file(file).value();
    const auto words = map_word_file(opened).value();
    for (const auto& each : words->all())
      REQUIRE(each == 0);
    words->all().front() = 1;
    words->all().back() = 2;
    const auto beside = map_word_file(opened).value();
    CHECK(beside->all().front() == 1);
  }
  struct stat found {};
  REQUIRE(::stat(file.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  const auto again = map_word_file(open_word_file(file).value()).value();
  CHECK(again->all().front() == 1);
  CHECK(again->all().back() == 2);
}

TEST_CASE("a file that is too short for lasting words is not mapped, and one that cannot be made is told") {
  const test::temporary_directory there;
  const auto file = there.path() / "short";
  std::ofstream(file) << "too short";
  const platform::descriptor opened{::open(file.c_str(), O_RDWR | O_CLOEXEC)};
  CHECK(map_word_file(opened).error().error == EINVAL);
  CHECK(open_word_file(there.path() / "no directory" / "words").error().error == ENOENT);
  CHECK(open_word_file("/dev/full/words").error().error == ENOTDIR);
}

TEST_CASE("a directory of records has lasting words, which are none of its records") {
  const test::temporary_directory there;
  const auto records = platform::linux_host::directory_records::open(there.path()).value();
  records->lasting().value()->all()[7] = 7;
  CHECK(records->lasting().value()->all()[7] == 7);
  CHECK(map_word_file(records->open_lasting().value()).value()->all()[7] == 7);
  CHECK(records->names()->empty());
}
