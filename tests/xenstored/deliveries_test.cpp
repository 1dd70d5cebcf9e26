// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "platform/real/deliveries.hpp"
#include "platform/real/host.hpp"
#include "xenstored/relay.hpp"
#include "xenstored/xenstored_fixture.hpp"

using namespace std::chrono_literals;

namespace {

// Remembers what it was told.
class recorder final : public platform::event_sink {
public:
  void store_changed(const std::string& path, const std::string&) override {
    note([&] { changed.insert(path); });
  }
  void line_interrupts(std::span<const pci::sbdf>) override {}
  void function_removed(const pci::sbdf&) override {}
  void function_added(const pci::sbdf&) override {}
  void lost(std::string_view what, const std::string& reason) override {
    CHECK(what == "xenstore");
    note([&] { lost_connections.push_back(reason); });
  }
  void regained(std::string_view what) override {
    CHECK(what == "xenstore");
    note([&] { ++times_regained; });
  }

  bool wait_for(std::chrono::milliseconds limit, const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, condition);
  }

  std::set<std::string> changed;
  std::vector<std::string> lost_connections;
  unsigned times_regained = 0;

private:
  void note(const std::function<void()>& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
};

} // namespace

TEST_CASE("watches reach the sink without waiting for the heartbeat") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  recorder sink;
  const auto loop = platform::event_loop::open().value();
  REQUIRE(platform::deliver_watches(*loop, *store, sink, 1h));
  REQUIRE(loop->start());
  REQUIRE(store->watch("/tool/x", "u"));
  CHECK(sink.wait_for(2s, [&] { return sink.changed.contains("/tool/x"); }));
  REQUIRE(store->write("/tool/x/y", "1"));
  CHECK(sink.wait_for(2s, [&] { return sink.changed.contains("/tool/x/y"); }));
  CHECK(sink.wait_for(0s, [&] { return sink.lost_connections.empty(); }));
}

TEST_CASE("many events are all delivered, in turns with other descriptors") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  recorder sink;
  const auto loop = platform::event_loop::open().value();
  REQUIRE(platform::deliver_watches(*loop, *store, sink, 1h));
  REQUIRE(store->watch("/tool/x", "u"));
  for (int i = 0; i < 300; ++i)
    REQUIRE(store->write("/tool/x/" + std::to_string(i), ""));
  REQUIRE(loop->start());
  CHECK(sink.wait_for(5s, [&] { return sink.changed.size() == 301; }));
}

TEST_CASE("a lost xenstored is told once, within the heartbeat") {
  test::xenstored daemon;
  auto store = test::connect(daemon.socket());
  recorder sink;
  const auto loop = platform::event_loop::open().value();
  REQUIRE(platform::deliver_watches(*loop, *store, sink, 50ms));
  REQUIRE(store->watch("/tool/x", "u"));
  REQUIRE(loop->start());
  CHECK(!sink.wait_for(150ms, [&] { return !sink.lost_connections.empty(); }));
  daemon.kill();
  CHECK(sink.wait_for(2s, [&] { return !sink.lost_connections.empty(); }));
  CHECK(!sink.wait_for(200ms, [&] { return sink.lost_connections.size() > 1; }));
}

namespace {

/// A store behind a relay, with one watch, and its events delivered.
struct relayed {
  relayed() {
    way.lead_to(first.socket());
    store = test::connect(way.socket());
    REQUIRE(platform::deliver_watches(*loop, *store, sink, 1h));
    REQUIRE(store->watch("/tool/x", "u"));
    REQUIRE(loop->start());
    REQUIRE(sink.wait_for(2s, [&] { return sink.changed.contains("/tool/x"); }));
  }
  ~relayed() { loop->stop(); }
  /// The next request fails, and that is told.
  void lose() {
    way.cut();
    const auto read = store->read("/tool/x");
    REQUIRE(!read);
    CHECK(platform::xen::is_lost_connection(read.error().error));
    REQUIRE(sink.wait_for(2s, [&] { return !sink.lost_connections.empty(); }));
    CHECK(store->read("/tool/x").error().error == ENOTCONN);
  }

  test::xenstored first;
  test::relay way{first.socket() + ".relay"};
  std::unique_ptr<platform::xen::store> store;
  recorder sink;
  std::unique_ptr<platform::event_loop> loop = platform::event_loop::open().value();
};

} // namespace

TEST_CASE_FIXTURE(relayed,
                  "a connection that is lost is made again, and its watches fire, for what came meanwhile too") {
  lose();
  auto other = test::connect(first.socket());
  REQUIRE(other->write("/tool/x/meanwhile", "1"));
  sink.changed.clear();
  ::setenv("XENSTORED_PATH", way.socket().c_str(), 1);
  CHECK(store->watch("/tool/y", "v").error().error == ENOTCONN);
  way.lead_to(first.socket());
  REQUIRE(sink.wait_for(5s, [&] { return sink.times_regained == 1; }));
  CHECK(sink.wait_for(2s, [&] { return sink.changed.contains("/tool/x"); }));
  CHECK(store->read("/tool/x/meanwhile").value() == "1");
  REQUIRE(store->write("/tool/x/y", "1"));
  CHECK(sink.wait_for(2s, [&] { return sink.changed.contains("/tool/x/y"); }));
  REQUIRE(store->unwatch("/tool/x", "u"));
  REQUIRE(store->watch("/tool/y", "v"));
  CHECK(sink.wait_for(2s, [&] { return sink.changed.contains("/tool/y"); }));
  CHECK(sink.lost_connections.size() == 1);
}

TEST_CASE_FIXTURE(relayed, "another xenstored, which knows nothing, is not taken for the one that was there") {
  lose();
  test::xenstored second;
  ::setenv("XENSTORED_PATH", way.socket().c_str(), 1);
  way.lead_to(second.socket());
  REQUIRE(sink.wait_for(5s, [&] { return sink.lost_connections.size() == 2; }));
  CHECK(sink.lost_connections.back().find("lost its contents") != std::string::npos);
  CHECK(sink.times_regained == 0);
  CHECK(store->read("/tool").error().error == ENOTCONN);
}

TEST_CASE("on a machine without Xen the real host says so") {
  if (platform::real_host::obstacles().empty())
    return; // this is a Xen host
  const auto host = platform::real_host::open();
  REQUIRE(!host);
  CHECK(host.error().error == ENOTSUP);
  CHECK(host.error().context == platform::real_host::obstacles().front());
}
