// SPDX-License-Identifier: GPL-2.0-or-later
// The keeper of the removal guards and its client over a real socket; the reads that wait are a test's, or, where the
// kernel lets this process have them, real ones.
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/linux/guard_client.hpp"
#include "platform/linux/guard_keeper.hpp"

using namespace std::chrono_literals;
using namespace platform::linux_host;
using pci::guard_state;

namespace {

const auto card = pci::make_sbdf(0, 3, 0, 0);
const auto other = pci::make_sbdf(0x10, 4, 1, 2);

bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 600 && !condition(); ++i)
    std::this_thread::sleep_for(5ms);
  return condition();
}

/// Reads that wait as long as their file is there when they begin.
class pretended_reads final : public blocked_reads {
public:
  pretended_reads() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  std::size_t slots() const override { return 4; }
  pci::result<void> begin(std::size_t slot, const std::string& file) override {
    const std::lock_guard lock(mutex_);
    ++begun;
    std::filesystem::exists(file) ? told_.push_back({slot, true, 0}) : told_.push_back({slot, false, ENOENT});
    ring();
    return {};
  }
  void fill(std::size_t slot) override {
    const std::lock_guard lock(mutex_);
    ++filled;
    told_.push_back({slot, false, 0});
    ring();
  }
  bool spins(std::size_t /*slot*/) const override { return spinning.exchange(false); }
  std::vector<int> descriptors() const override { return {event_.get()}; }
  void tell(const listener& whom) override {
    std::uint64_t count = 0;
    static_cast<void>(!::read(event_.get(), &count, sizeof count));
    std::vector<item> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(told_);
    }
    for (const auto& each : now)
      whom(each.slot, each.waits, each.error);
  }
  std::atomic<int> begun{0}, filled{0};
  mutable std::atomic<bool> spinning{false};

private:
  struct item {
    std::size_t slot;
    bool waits;
    int error;
  };
  void ring() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(event_.get(), &one, sizeof one));
  }
  std::mutex mutex_;
  std::vector<item> told_;
  platform::descriptor event_;
};

/// A directory with a false /proc/bus/pci and a socket, and a keeper that can end and be started again.
struct kept {
  kept() {
    directory = std::filesystem::temp_directory_path() / fmt::format("guards-{}", ::getpid());
    std::filesystem::remove_all(directory);
    add(card);
    add(other);
    start();
  }
  ~kept() {
    stop();
    std::filesystem::remove_all(directory);
  }
  std::filesystem::path file(const pci::sbdf& address) const {
    return guard_keeper::file_of(directory.string(), address);
  }
  void add(const pci::sbdf& address) {
    std::filesystem::create_directories(file(address).parent_path());
    std::ofstream(file(address)) << "x";
  }
  void remove(const pci::sbdf& address) { std::filesystem::remove(file(address)); }
  std::string socket() const { return (directory / "socket").string(); }
  void start() {
    guard_keeper::options wanted;
    wanted.proc = directory.string();
    wanted.interval = 10ms;
    wanted.limit = limit;
    auto listening = listen_for_guards(socket());
    REQUIRE(listening);
    keeper = std::make_unique<guard_keeper>(std::move(*listening), reads, wanted);
    ending = platform::descriptor{::eventfd(0, EFD_CLOEXEC)};
    thread = std::thread([this] { ended = keeper->run(ending.get()).has_value(); });
  }
  void stop() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(ending.get(), &one, sizeof one));
    if (thread.joinable())
      thread.join();
    keeper.reset();
  }
  std::unique_ptr<guard_client> connect() const {
    guard_client::options wanted;
    wanted.socket = socket();
    wanted.retry = 10ms;
    return std::make_unique<guard_client>(wanted);
  }
  std::chrono::milliseconds limit = pci::removal_guard::default_limit;
  std::filesystem::path directory;
  pretended_reads reads;
  std::unique_ptr<guard_keeper> keeper;
  platform::descriptor ending;
  std::thread thread;
  std::atomic<bool> ended{false};
};

} // namespace

TEST_CASE("a function's file in /proc/bus/pci") {
  CHECK(guard_keeper::file_of("/proc/bus/pci", card) == "/proc/bus/pci/03/00.0");
  CHECK(guard_keeper::file_of("/proc/bus/pci", other) == "/proc/bus/pci/0010:04/01.2");
}

TEST_CASE_FIXTURE(kept, "guards are armed and released over the socket") {
  const auto client = connect();
  CHECK(client->obstacle().empty());
  CHECK(client->state(card) == guard_state::none);
  REQUIRE(client->arm(card));
  REQUIRE(client->arm(other));
  CHECK(client->state(card) == guard_state::armed);
  CHECK(client->guarded() == std::vector{card, other});
  client->release(card);
  CHECK(client->state(card) == guard_state::none);
  CHECK(client->guarded() == std::vector{other});
  CHECK(reads.begun == 2);
  CHECK(reads.filled == 1);
}

TEST_CASE_FIXTURE(kept, "a function that is not there cannot be guarded, and nor can more than there are pages") {
  const auto client = connect();
  const auto refused = client->arm(pci::make_sbdf(0, 9, 0, 0));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ENOENT);
  CHECK(client->state(pci::make_sbdf(0, 9, 0, 0)) == guard_state::unguarded);
  for (std::uint8_t slot = 1; slot < 6; ++slot) {
    add(pci::make_sbdf(0, 3, slot, 0));
    const auto armed = client->arm(pci::make_sbdf(0, 3, slot, 0));
    CHECK(armed.has_value() == (slot < 5));
    if (!armed)
      CHECK(armed.error().error == ENOSPC);
  }
}

TEST_CASE_FIXTURE(kept, "a removal waits until its guard is released, and that it does is told") {
  const auto client = connect();
  std::atomic<int> told = 0;
  client->listen([&](const pci::sbdf& address) { told += address == card ? 1 : 100; });
  REQUIRE(client->arm(card));
  REQUIRE(client->arm(other));
  client->look(card);
  remove(card);
  CHECK(soon([&] { return client->state(card) == guard_state::holding; }));
  CHECK(soon([&] { return told == 1; }));
  CHECK(reads.filled == 0);
  CHECK(client->state(other) == guard_state::armed);
  client->release(card);
  CHECK(reads.filled == 1);
  CHECK(client->state(card) == guard_state::none);
  client->listen({});
}

TEST_CASE_FIXTURE(kept, "guards outlive the daemon, and the next one hears of a removal that began meanwhile") {
  REQUIRE(connect()->arm(card));
  remove(card);
  std::this_thread::sleep_for(50ms);
  const auto next = connect();
  CHECK(next->guarded() == std::vector{card});
  CHECK(soon([&] { return next->state(card) == guard_state::holding; }));
  std::atomic<int> told = 0;
  next->listen([&](const pci::sbdf&) { ++told; });
  CHECK(told == 1);
  next->listen({});
  next->release(card);
  CHECK(next->guarded().empty());
}

TEST_CASE_FIXTURE(kept, "a keeper that ends is found again, and asked for what is wanted") {
  const auto client = connect();
  REQUIRE(client->arm(card));
  stop();
  CHECK(soon([&] { return client->state(card) == guard_state::unguarded; }));
  CHECK_FALSE(client->obstacle().empty());
  const auto refused = client->arm(other);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ENOTCONN);
  start();
  CHECK(soon([&] { return client->state(card) == guard_state::armed && client->state(other) == guard_state::armed; }));
  CHECK(client->obstacle().empty());
}

TEST_CASE_FIXTURE(kept, "a read that spins is begun anew") {
  const auto client = connect();
  REQUIRE(client->arm(card));
  reads.spinning = true;
  CHECK(soon([&] { return reads.begun == 2; }));
  CHECK(soon([&] { return client->state(card) == guard_state::armed; }));
}

TEST_CASE_FIXTURE(kept, "only one keeper listens at a place") {
  const auto second = listen_for_guards(socket());
  REQUIRE_FALSE(second);
  CHECK(second.error().error == EADDRINUSE);
}

TEST_CASE_FIXTURE(kept, "a partner that speaks otherwise is left, and others are not") {
  const auto client = connect();
  auto wrong = connect_to_guards(socket());
  REQUIRE(wrong);
  REQUIRE(::send(wrong->get(), "drop table", 10, MSG_NOSIGNAL) == 10);
  char byte = 0;
  CHECK(::recv(wrong->get(), &byte, 1, 0) == 0);
  CHECK(client->arm(card));
}

TEST_CASE_FIXTURE(kept, "before dom0 sleeps every read ends, and afterwards the guards are armed again") {
  const auto client = connect();
  REQUIRE(client->arm(card));
  auto sleeper = connect_to_guards(socket());
  REQUIRE(sleeper);
  std::array<char, pci::guard_packet_size> packet{};
  const auto ask = [&](const std::string& what) {
    REQUIRE(::send(sleeper->get(), what.data(), what.size(), MSG_NOSIGNAL) > 0);
    const auto size = ::recv(sleeper->get(), packet.data(), packet.size(), 0);
    return std::string(packet.data(), static_cast<std::size_t>(size < 0 ? 0 : size));
  };
  CHECK(ask("suspend") == "suspended");
  CHECK(reads.filled == 1);
  CHECK(soon([&] { return client->state(card) == guard_state::unguarded; }));
  CHECK(ask("resume") == "resumed");
  CHECK(soon([&] { return client->state(card) == guard_state::armed; }));
}

TEST_CASE_FIXTURE(kept,
                  "a descriptor that is left with the keeper is the next daemon's, and open until that drops it") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const platform::descriptor reader(ends[0]);
  char byte = 0;
  const auto closed = [&] { return ::read(reader.get(), &byte, 1) == 0; };
  {
    const platform::descriptor writer(ends[1]);
    const auto client = connect();
    CHECK_FALSE(client->take(card));
    client->keep(card, writer.get());
    CHECK_FALSE(client->take(other));
  }
  CHECK_FALSE(closed());
  const auto next = connect();
  {
    const auto taken = next->take(card);
    REQUIRE(taken);
    REQUIRE(::write(taken.get(), "x", 1) == 1);
    CHECK(::read(reader.get(), &byte, 1) == 1);
  }
  CHECK(next->guarded().empty());
  SUBCASE("the next keeper has it as well") {
    stop();
    start();
    CHECK(soon([&] { return next->obstacle().empty() && connect()->take(card); }));
  }
  SUBCASE("the keeper has ended") {
    stop();
    CHECK(soon([&] { return !next->obstacle().empty(); }));
    CHECK_FALSE(closed());
  }
  next->drop(card);
  CHECK(closed());
  CHECK_FALSE(next->take(card));
}

TEST_CASE("reads by userfaultfd wait until they are let go") {
  auto opened = userfault_reads::open(2);
  if (!opened) {
    MESSAGE("not run: " << pci::to_string(opened.error()));
    return;
  }
  sigset_t all, before;
  sigfillset(&all);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  auto& reads = **opened;
  std::set<std::size_t> waiting, ended;
  int error = -1;
  const auto look = [&] {
    reads.tell([&](std::size_t slot, bool waits, int how) {
      (waits ? waiting : ended).insert(slot);
      error = waits ? error : how;
    });
  };
  const auto come_to = [&](const std::function<bool()>& condition) {
    return soon([&] {
      look();
      return condition();
    });
  };
  for (int round = 0; round < 3; ++round) {
    REQUIRE(reads.begin(0, "/proc/version"));
    REQUIRE(reads.begin(1, "/proc/version"));
    REQUIRE(come_to([&] { return waiting.size() == 2; }));
    CHECK_FALSE(reads.spins(0));
    CHECK(ended.empty());
    reads.fill(1);
    CHECK(come_to([&] { return ended == std::set<std::size_t>{1}; }));
    CHECK(error == 0);
    reads.fill(0);
    CHECK(come_to([&] { return ended.size() == 2; }));
    waiting.clear();
    ended.clear();
  }
  REQUIRE(reads.begin(0, "/proc/no such file"));
  CHECK(come_to([&] { return ended.size() == 1; }));
  CHECK(error == ENOENT);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
