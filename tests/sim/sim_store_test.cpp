// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "sim/sim_support.hpp"

using namespace sim_test;

namespace {

struct two_users {
  sim::xenstored daemon;
  platform::store& dom0 = daemon.for_domain(0);
  platform::store& guest = daemon.for_domain(5);
  std::vector<std::string> told, guest_told;

  two_users() {
    daemon.set_listener(
        0, [this](const std::string& path, const std::string& token) { told.push_back(token + " " + path); });
    daemon.set_listener(
        5, [this](const std::string& path, const std::string& token) { guest_told.push_back(token + " " + path); });
    REQUIRE(dom0.make_directory("/local/domain/5/device"));
    const std::vector<node_permission> own{{5, false, false}, {0, true, false}};
    REQUIRE(dom0.set_permissions("/local/domain/5/device", own));
  }
};

using lines = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(two_users, "a domain reads and writes what it is allowed to") {
  REQUIRE(dom0.write("/secret", "x"));
  REQUIRE(dom0.set_permissions("/secret", std::vector<node_permission>{{0, false, false}}));
  REQUIRE(dom0.write("/shown", "y"));
  REQUIRE(dom0.set_permissions("/shown", std::vector<node_permission>{{0, false, false}, {5, true, false}}));
  CHECK(error_of(guest.read("/secret")) == EACCES);
  CHECK(error_of(guest.read("/secret/below")) == EACCES);
  CHECK(guest.read("/shown").value_or("") == "y");
  CHECK(error_of(guest.write("/shown", "z")) == EACCES);
  CHECK(error_of(guest.write("/shown/new", "z")) == EACCES);
  CHECK(error_of(guest.remove("/shown")) == EACCES);
  CHECK(guest.write("/local/domain/5/device/pci/0/state", "3"));
  CHECK(dom0.read("/local/domain/5/device/pci/0/state").value_or("") == "3");
  CHECK(error_of(daemon.for_domain(6).read("/local/domain/5/device/pci/0/state")) == EACCES);
  CHECK(error_of(guest.read("/local/domain/5/device/none")) == ENOENT);
}

TEST_CASE_FIXTURE(two_users, "only the owner changes permissions, and cannot give a node away") {
  REQUIRE(guest.write("/local/domain/5/device/a", ""));
  const std::vector<node_permission> shared{{5, true, false}}, given{{6, true, true}};
  CHECK(guest.set_permissions("/local/domain/5/device/a", shared));
  CHECK(error_of(guest.set_permissions("/local/domain/5/device/a", given)) == EPERM);
  CHECK(error_of(daemon.for_domain(6).set_permissions("/local/domain/5/device/a", given)) == EACCES);
  CHECK(daemon.for_domain(6).read("/local/domain/5/device/a"));
  CHECK(error_of(dom0.set_permissions("/none", shared)) == ENOENT);
}

TEST_CASE_FIXTURE(two_users, "paths and payloads have their limits") {
  CHECK(error_of(dom0.read("relative")) == EINVAL);
  CHECK(error_of(dom0.write("/a//b", "")) == EINVAL);
  CHECK(error_of(dom0.write("/a/", "")) == EINVAL);
  CHECK(error_of(dom0.write("/a b", "")) == EINVAL);
  CHECK(error_of(dom0.write("/" + std::string(3072, 'a'), "")) == EINVAL);
  CHECK(error_of(dom0.write("/a", std::string(4094, 'v'))) == E2BIG);
  CHECK(dom0.write("/a", std::string(4093, 'v')));
}

TEST_CASE_FIXTURE(two_users, "a domain has a thousand nodes and no more") {
  const auto owned = daemon.owned(5);
  for (unsigned i = owned; i < 1000; ++i)
    REQUIRE(guest.write(fmt::format("/local/domain/5/device/n{}", i), ""));
  CHECK(error_of(guest.write("/local/domain/5/device/over", "")) == ENOSPC);
  CHECK(guest.write("/local/domain/5/device/n999", "changed"));
  CHECK(guest.remove("/local/domain/5/device/n999"));
  CHECK(guest.write("/local/domain/5/device/over", ""));
  CHECK(daemon.owned(5) == 1000);
}

TEST_CASE_FIXTURE(two_users, "a transaction is all or nothing and runs again after a conflict") {
  REQUIRE(dom0.write("/a", "1"));
  unsigned runs = 0;
  const auto done = dom0.transact(
      [&](store_operations& t) -> platform::result<void> {
        const auto seen = t.read("/a").value_or("");
        if (++runs == 1)
          REQUIRE(dom0.write("/a", "2")); // somebody else
        REQUIRE(t.write("/b", seen));
        CHECK(t.read("/b").value_or("") == seen);
        return {};
      },
      16);
  CHECK(done);
  CHECK(runs == 2);
  CHECK(dom0.read("/b").value_or("") == "2");

  const auto never = dom0.transact(
      [&](store_operations& t) {
        (void)t.read("/a");
        REQUIRE(dom0.write("/a", std::to_string(++runs)));
        return t.write("/c", "x");
      },
      3);
  CHECK(error_of(never) == EAGAIN);
  CHECK(runs == 5);
  CHECK(error_of(dom0.read("/c")) == ENOENT);

  const auto refused = dom0.transact(
      [&](store_operations& t) -> platform::result<void> {
        REQUIRE(t.write("/d", "x"));
        return pci::fail(EPROTO, "body");
      },
      16);
  CHECK(error_of(refused) == EPROTO);
  CHECK(error_of(dom0.read("/d")) == ENOENT);
}

TEST_CASE_FIXTURE(two_users, "a write below a directory that was removed meanwhile does not bring it back") {
  REQUIRE(dom0.write("/back/frontend-id", "5"));
  unsigned runs = 0;
  const auto done = dom0.transact(
      [&](store_operations& t) -> platform::result<void> {
        if (auto there = t.read("/back/frontend-id"); !there)
          return tl::unexpected(there.error());
        if (++runs == 1)
          REQUIRE(dom0.remove("/back"));
        return t.write("/back/state", "4");
      },
      16);
  CHECK(error_of(done) == ENOENT);
  CHECK(error_of(dom0.read("/back/state")) == ENOENT);
}

TEST_CASE_FIXTURE(two_users, "a watch fires at once, and for changes at and below its node") {
  REQUIRE(dom0.watch("/w", "t"));
  CHECK(told == lines{"t /w"});
  CHECK(error_of(dom0.watch("/w", "t")) == EEXIST);
  told.clear();
  REQUIRE(dom0.write("/w/a/b", "1"));
  REQUIRE(dom0.write("/wx", "1"));
  REQUIRE(dom0.remove("/w/none"));
  CHECK(told == lines{"t /w/a/b"});
  told.clear();
  REQUIRE(dom0.watch("/w/a/b", "u"));
  REQUIRE(dom0.remove("/w"));
  CHECK(told == lines{"u /w/a/b", "t /w", "u /w/a/b"});
  told.clear();
  REQUIRE(dom0.unwatch("/w", "t"));
  CHECK(error_of(dom0.unwatch("/w", "t")) == ENOENT);
  REQUIRE(dom0.write("/w", ""));
  CHECK(told.empty());
}

TEST_CASE_FIXTURE(two_users, "a transaction's changes are told when it is committed") {
  REQUIRE(dom0.watch("/w", "t"));
  told.clear();
  REQUIRE(dom0.transact(
      [&](store_operations& t) {
        REQUIRE(t.write("/w/1", ""));
        CHECK(told.empty());
        return t.write("/w/2", "");
      },
      1));
  CHECK(told == lines{"t /w/1", "t /w/2"});
}

TEST_CASE_FIXTURE(two_users, "a guest is not told of what it may not read, and has few watches") {
  REQUIRE(dom0.write("/secret", ""));
  REQUIRE(dom0.set_permissions("/secret", std::vector<node_permission>{{0, false, false}}));
  REQUIRE(guest.watch("/secret", "s"));
  guest_told.clear();
  REQUIRE(dom0.write("/secret", "x"));
  CHECK(guest_told.empty());
  CHECK(error_of(guest.watch("@releaseDomain", "r")) == EACCES);
  for (int i = 1; i < 128; ++i)
    REQUIRE(guest.watch("/local/domain/5/device", std::to_string(i)));
  CHECK(error_of(guest.watch("/local/domain/5/device", "128")) == E2BIG);
}

TEST_CASE_FIXTURE(two_users, "a domain's end removes what it owns, and nothing else") {
  REQUIRE(guest.write("/local/domain/5/device/pci/0/state", "4"));
  REQUIRE(dom0.write("/back", "dom0's"));
  REQUIRE(dom0.watch("/local/domain/5/device/pci/0/state", "s"));
  REQUIRE(dom0.watch("@releaseDomain", "r"));
  told.clear();
  daemon.release_domain(5);
  daemon.fire_special("@releaseDomain");
  CHECK(told == lines{"s /local/domain/5/device/pci/0/state", "r @releaseDomain"});
  CHECK(error_of(dom0.read("/local/domain/5/device")) == ENOENT);
  CHECK(dom0.read("/local/domain/5"));
  CHECK(dom0.read("/back").value_or("") == "dom0's");
  CHECK(daemon.owned(5) == 0);
}

TEST_CASE_FIXTURE(two_users, "a watch's depth is heeded where it is offered") {
  for (const bool offered : {false, true}) {
    CAPTURE(offered);
    if (offered)
      daemon.offer_depth();
    const std::string token = offered ? "new" : "old";
    for (const unsigned depth : {0U, 1U}) {
      const auto name = token + std::to_string(depth);
      REQUIRE(dom0.watch("/w", name, depth));
      REQUIRE(dom0.watch("@releaseDomain", name, depth));
      told.clear();
      for (const auto* path : {"/w", "/w/a", "/w/a/b"})
        REQUIRE(dom0.write(path, "1"));
      REQUIRE(dom0.remove("/w/a"));
      daemon.fire_special("@releaseDomain", 7);
      const auto all = offered ? depth == 0 ? lines{name + " /w"} : lines{name + " /w", name + " /w/a", name + " /w/a"}
                               : lines{name + " /w", name + " /w/a", name + " /w/a/b", name + " /w/a"};
      auto expected = all;
      expected.push_back(name + (offered && depth == 1 ? " @releaseDomain/7" : " @releaseDomain"));
      CHECK(told == expected);
      REQUIRE(dom0.unwatch("/w", name));
      REQUIRE(dom0.unwatch("@releaseDomain", name));
    }
  }
  // The node of a watch of depth 0 goes with one above it.
  REQUIRE(dom0.write("/w/a/b", "1"));
  REQUIRE(dom0.watch("/w/a", "t", 0));
  told.clear();
  REQUIRE(dom0.remove("/w"));
  CHECK(told == lines{"t /w/a"});
}

TEST_CASE_FIXTURE(two_users, "failures can be asked for") {
  daemon.fail_next(0, EIO, 2, 1);
  CHECK(dom0.write("/a", ""));
  CHECK(error_of(dom0.write("/a", "")) == EIO);
  CHECK(guest.read("/local/domain/5/device"));
  CHECK(error_of(dom0.read("/a")) == EIO);
  CHECK(dom0.read("/a"));
  daemon.lose();
  CHECK(error_of(dom0.read("/a")) == EBADF);
}

TEST_CASE_FIXTURE(two_users, "two threads count in transactions and lose nothing") {
  REQUIRE(dom0.write("/n", "0"));
  const auto count = [&] {
    for (int i = 0; i < 200; ++i)
      (void)dom0.transact(
          [&](store_operations& t) { return t.write("/n", std::to_string(std::stoi(*t.read("/n")) + 1)); }, 100000);
  };
  std::thread other(count);
  count();
  other.join();
  CHECK(dom0.read("/n").value_or("") == "400");
}
