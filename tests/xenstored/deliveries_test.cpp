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

  bool wait_for(std::chrono::milliseconds limit, const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, condition);
  }

  std::set<std::string> changed;
  std::vector<std::string> lost_connections;

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

TEST_CASE("on a machine without Xen the real host says so") {
  if (platform::real_host::obstacles().empty())
    return; // this is a Xen host
  const auto host = platform::real_host::open();
  REQUIRE(!host);
  CHECK(host.error().error == ENOTSUP);
  CHECK(host.error().context == platform::real_host::obstacles().front());
}
