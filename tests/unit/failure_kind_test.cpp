// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <set>

#include <doctest/doctest.h>

#include "pci/failure_kind.hpp"

using pci::failure_kind;
using pci::kind_of;

TEST_CASE("each errno value of the daemon's is of one kind") {
  for (const int error : {EPERM, EACCES, EINVAL, EOPNOTSUPP, ENOSYS, ENOSPC}) {
    CHECK(kind_of(error) == failure_kind::refused);
  }
  for (const int error : {EBUSY, EAGAIN, EEXIST}) {
    CHECK(kind_of(error) == failure_kind::busy);
  }
  for (const int error : {ENODEV, ENOENT, ESRCH}) {
    CHECK(kind_of(error) == failure_kind::absent);
  }
  CHECK(kind_of(ETIMEDOUT) == failure_kind::timed_out);
  for (const int error : {EIO, EPROTO, ECANCELED, 0, -1, 4711}) {
    CHECK(kind_of(error) == failure_kind::failed);
  }
}

TEST_CASE("kinds have words of their own, errno values their names") {
  std::set<std::string_view> words;
  for (int kind = 0; kind <= static_cast<int>(failure_kind::timed_out); ++kind) {
    words.insert(to_string(static_cast<failure_kind>(kind)));
  }
  CHECK(words.size() == 7);
  CHECK(to_string(failure_kind::timed_out) == "timed-out");
  CHECK(pci::errno_name(EBUSY) == "EBUSY");
  CHECK(pci::errno_name(ENODEV) == "ENODEV");
  CHECK(pci::errno_name(0) == "E0");
  CHECK(pci::errno_name(4711) == "E4711");
}
