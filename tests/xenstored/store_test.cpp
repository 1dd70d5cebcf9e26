// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>

#include <doctest/doctest.h>

extern "C" {
#include <xenstore.h>
}

#include "platform/xen/store.hpp"
#include "xenstored/xenstored_fixture.hpp"

using platform::node_permission;
using platform::result;
using platform::store_operations;

namespace {

using events = std::vector<std::pair<std::string, std::string>>;

// Gathers events until `enough`, for at most two seconds.
events gather(platform::xen::store& store, const std::function<bool(const events&)>& enough) {
  events seen;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!enough(seen) && std::chrono::steady_clock::now() < deadline) {
    pollfd polled{store.watch_descriptor(), POLLIN, 0};
    ::poll(&polled, 1, 50);
    const auto drained =
        store.drain_watches([&](const auto& path, const auto& token) { seen.emplace_back(path, token); });
    REQUIRE(drained);
  }
  return seen;
}

events gather(platform::xen::store& store, std::size_t count) {
  return gather(store, [count](const events& seen) { return seen.size() >= count; });
}

template <class T>
int error_of(const result<T>& outcome) {
  return outcome ? 0 : outcome.error().error;
}

} // namespace

TEST_CASE("a store writes, reads, lists and removes") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());

  CHECK(store->write("/tool/a/b", "value"));
  CHECK(store->read("/tool/a/b").value() == "value");
  CHECK(store->write("/tool/a/zero", std::string_view("x\0y", 3)));
  CHECK(store->read("/tool/a/zero").value() == std::string("x\0y", 3));
  CHECK(store->write("/tool/a/empty", ""));
  CHECK(store->read("/tool/a/empty").value().empty());
  CHECK(store->make_directory("/tool/a/directory"));
  CHECK(store->list("/tool/a").value() == std::vector<std::string>{"b", "zero", "empty", "directory"});
  CHECK(store->list("/tool/a/directory").value().empty());

  CHECK(store->remove("/tool/a"));
  CHECK(error_of(store->read("/tool/a/b")) == ENOENT);
  CHECK(error_of(store->list("/tool/a")) == ENOENT);
}

TEST_CASE("removing what is not there is success") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  CHECK(store->remove("/tool/never/was"));
}

TEST_CASE("a failure names the operation and the path") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  const auto value = store->read("/no/such");
  REQUIRE(!value);
  CHECK(value.error().error == ENOENT);
  CHECK(value.error().context == "xenstore: read /no/such");
}

TEST_CASE("a directory larger than one message is listed whole") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  for (int i = 0; i < 500; ++i)
    REQUIRE(store->write("/tool/many/a-rather-long-name-" + std::to_string(i), ""));
  CHECK(store->list("/tool/many").value().size() == 500);
}

TEST_CASE("permissions hold for a guest") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  auto guest = test::connect(daemon.add_domain(5));
  const std::string shared = "/local/domain/0/backend/pci/5/0";
  const node_permission readable[] = {{.domid = 0}, {.domid = 5, .read = true}};
  REQUIRE(store->write(shared, ""));
  REQUIRE(store->set_permissions(shared, readable));
  REQUIRE(store->write(shared + "/state", "1"));
  REQUIRE(store->write("/tool/secret", "1"));

  CHECK(guest->read(shared + "/state").value() == "1");
  CHECK(error_of(guest->write(shared + "/state", "4")) == EACCES);
  CHECK(error_of(guest->read("/tool/secret")) == EACCES);
  CHECK(error_of(guest->remove(shared)) == EACCES);
  CHECK(guest->write("/local/domain/5/device/pci/0/state", "3"));
  CHECK(store->read("/local/domain/5/device/pci/0/state").value() == "3");

  const node_permission writable[] = {{.domid = 0}, {.domid = 5, .read = true, .write = true}};
  REQUIRE(store->set_permissions(shared + "/state", writable));
  CHECK(guest->write(shared + "/state", "4"));
}

TEST_CASE("a watch fires at once and for changes below, and tells them apart by token") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  REQUIRE(store->watch("/tool/x", "u1"));
  REQUIRE(store->watch("/tool/y", "u2"));
  CHECK(gather(*store, 2) == events{{"/tool/x", "u1"}, {"/tool/y", "u2"}});

  REQUIRE(store->write("/tool/y/deep/down", "1"));
  CHECK(gather(*store, 1) == events{{"/tool/y/deep/down", "u2"}});
  REQUIRE(store->remove("/tool/y"));
  CHECK(gather(*store, 1) == events{{"/tool/y", "u2"}});
}

TEST_CASE("a second watch with the token of the first is refused") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  REQUIRE(store->watch("/tool/x", "u1"));
  CHECK(error_of(store->watch("/tool/x", "u1")) == EEXIST);
}

TEST_CASE("after unwatch nothing is delivered, not even what waited") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  REQUIRE(store->watch("/tool/x", "u1"));
  REQUIRE(store->watch("/tool/end", "u2"));
  gather(*store, 2);
  REQUIRE(store->write("/tool/x", "1")); // waits, unread
  REQUIRE(store->unwatch("/tool/x", "u1"));
  REQUIRE(store->write("/tool/x", "2"));
  REQUIRE(store->write("/tool/end", "1"));
  CHECK(gather(*store, 1) == events{{"/tool/end", "u2"}});
  CHECK(error_of(store->unwatch("/tool/x", "u1")) == ENOENT);
}

TEST_CASE("draining stops at its limit and goes on later") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  REQUIRE(store->watch("/tool/x", "u"));
  gather(*store, 1);
  for (int i = 0; i < 10; ++i)
    REQUIRE(store->write("/tool/x", std::to_string(i)));
  REQUIRE(store->write("/tool/x/last", "")); // every event before it has arrived when this one has
  std::size_t taken = 0;
  const auto count = [&](const auto&, const auto&) { ++taken; };
  pollfd polled{store->watch_descriptor(), POLLIN, 0};
  REQUIRE(::poll(&polled, 1, 2000) == 1);
  REQUIRE(store->drain_watches(count, 1));
  CHECK(taken == 1);
  CHECK(gather(*store, 10).size() == 10);
}

TEST_CASE("a transaction commits all or nothing") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  CHECK(store->transact(
      [](store_operations& inside) -> result<void> {
        return inside.write("/tool/t/a", "1").and_then([&] { return inside.write("/tool/t/b", "2"); });
      },
      1));
  CHECK(store->read("/tool/t/a").value() == "1");
  CHECK(store->read("/tool/t/b").value() == "2");

  const auto failed = store->transact(
      [](store_operations& inside) -> result<void> {
        REQUIRE(inside.write("/tool/t/a", "changed"));
        return pci::fail(ECANCELED, "thought better of it");
      },
      3);
  CHECK(failed.error() == pci::failure{ECANCELED, "thought better of it"});
  CHECK(store->read("/tool/t/a").value() == "1");
}

TEST_CASE("a transaction that is overtaken runs again, and sees what overtook it") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  auto other = test::connect(daemon.socket());
  REQUIRE(store->write("/tool/counter", "1"));
  std::vector<std::string> seen;
  CHECK(store->transact(
      [&](store_operations& inside) -> result<void> {
        seen.push_back(inside.read("/tool/counter").value());
        if (seen.size() == 1)
          REQUIRE(other->write("/tool/counter", "7"));
        return inside.write("/tool/counter", seen.back() + "0");
      },
      16));
  CHECK(seen == std::vector<std::string>{"1", "7"});
  CHECK(store->read("/tool/counter").value() == "70");
}

TEST_CASE("a transaction that is always overtaken gives up") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  auto other = test::connect(daemon.socket());
  unsigned runs = 0;
  const auto outcome = store->transact(
      [&](store_operations& inside) -> result<void> {
        REQUIRE(inside.write("/tool/counter", "first"));
        REQUIRE(other->write("/tool/counter", std::to_string(++runs)));
        return inside.write("/tool/counter", "mine");
      },
      3);
  CHECK(error_of(outcome) == EAGAIN);
  CHECK(runs == 3);
}

TEST_CASE("a guest's death is seen, and its nodes go") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  daemon.add_domain(5);
  REQUIRE(store->watch("@releaseDomain", "r"));
  gather(*store, 1);
  REQUIRE(store->list("/local/domain/5"));

  daemon.kill_domain(5);
  const auto seen = gather(*store, 1);
  REQUIRE(!seen.empty());
  CHECK(seen.front() == std::pair<std::string, std::string>{"@releaseDomain", "r"});
  CHECK(error_of(store->list("/local/domain/5")) == ENOENT);
}

namespace {

// Stands in for a libxenstore of Xen 4.22 in front of a xenstored that is older: says what it is told to say of
// features, notes the depth, and has the watch made.
unsigned offered_features = 0;
std::vector<std::pair<std::string, unsigned>> depths;

bool say_features(xs_handle* /*connection*/, unsigned* features) {
  *features = offered_features;
  return true;
}
bool refuse_features(xs_handle* /*connection*/, unsigned* /*features*/) {
  errno = ENOSYS;
  return false;
}
bool note_depth(xs_handle* connection, const char* path, const char* token, unsigned depth) {
  depths.emplace_back(path, depth);
  return xs_watch(connection, path, token);
}

events watch_with(const platform::xen::watch_extensions& library, const std::string& socket) {
  depths.clear();
  ::setenv("XENSTORED_PATH", socket.c_str(), 1);
  auto store = platform::xen::store::open(library);
  REQUIRE(store);
  REQUIRE((*store)->watch("/tool/x", "limited", 0));
  REQUIRE((*store)->watch("@releaseDomain", "named", 1));
  REQUIRE((*store)->watch("/tool/y", "all"));
  return gather(**store, 3);
}

} // namespace

TEST_CASE("a watch's depth goes to a libxenstore and a xenstored that both know it, and to no others") {
  test::xenstored daemon;
  const events first{{"/tool/x", "limited"}, {"@releaseDomain", "named"}, {"/tool/y", "all"}};

  offered_features = 4;
  CHECK(watch_with({.features = say_features, .watch = note_depth}, daemon.socket()) == first);
  CHECK(depths == std::vector<std::pair<std::string, unsigned>>{{"/tool/x", 0}, {"@releaseDomain", 1}});
  for (const unsigned others : {0U, 3U, 0xfffbU}) {
    offered_features = others;
    CHECK(watch_with({.features = say_features, .watch = note_depth}, daemon.socket()) == first);
    CHECK(depths.empty());
  }
  offered_features = 4;
  CHECK(watch_with({.features = refuse_features, .watch = note_depth}, daemon.socket()) == first);
  CHECK(watch_with({.features = say_features}, daemon.socket()) == first);
  CHECK(watch_with({}, daemon.socket()) == first);
  CHECK(depths.empty());
}

TEST_CASE("the library that is installed is asked for what it has") {
  const auto library = platform::xen::watch_extensions::found();
  // Both came to libxenstore after Debian 13; a library has both or at least the older of the two.
  CHECK((library.watch == nullptr || library.features != nullptr));
  test::xenstored daemon;
  CHECK(watch_with(library, daemon.socket()).size() == 3);
}

TEST_CASE("two guests watch their own nodes at once") {
  test::xenstored daemon;
  auto first = test::connect(daemon.add_domain(5));
  auto second = test::connect(daemon.add_domain(6));
  REQUIRE(first->watch("/local/domain/5/x", "w"));
  REQUIRE(second->watch("/local/domain/6/x", "w"));
  CHECK(gather(*first, 1) == events{{"/local/domain/5/x", "w"}});
  CHECK(gather(*second, 1) == events{{"/local/domain/6/x", "w"}});
  REQUIRE(second->write("/local/domain/6/x", "1"));
  CHECK(gather(*second, 1) == events{{"/local/domain/6/x", "w"}});
}

TEST_CASE("a lost connection is told by draining, and by requests") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  REQUIRE(store->watch("/tool/x", "u"));
  gather(*store, 1);
  daemon.kill();
  std::optional<int> error;
  for (int i = 0; i < 200 && !error; ++i) {
    const auto drained = store->drain_watches([](const auto&, const auto&) {});
    if (!drained)
      error = drained.error().error;
    ::poll(nullptr, 0, 10);
  }
  CHECK(error == ENOTCONN);
  CHECK(!store->read("/tool/x"));
  CHECK(!store->transact([](store_operations&) { return result<void>{}; }, 1));
}

TEST_CASE("there is no store without xenstored") {
  ::setenv("XENSTORED_PATH", "/nonexistent/socket", 1);
  const auto store = platform::xen::store::open();
  REQUIRE(!store);
  CHECK(store.error().error == ENOENT);
}

TEST_CASE("the watch descriptor is not inherited by programs") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  CHECK((::fcntl(store->watch_descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
}
