// SPDX-License-Identifier: GPL-2.0-or-later
// Connections that watch, and what the daemon writes and reads about itself.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "actors/control/answer.hpp"
#include "temporary_directory.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackd/control_socket.hpp"
#include "tools/pcibackd/metrics_file.hpp"
#include "tools/pcibackd/own_threads.hpp"

using daemon_program::control_socket;
using namespace std::chrono_literals;

namespace {

/// A socket whose every request is one to watch, but "ask".
struct watched_socket {
  test::temporary_directory directory;
  std::string path = directory / "control.sock";
  std::unique_ptr<control_socket> socket;
  std::array<int, 2> signals{};
  std::thread thread;

  watched_socket() {
    REQUIRE(::pipe(signals.data()) == 0);
    auto made = control_socket::listen(path);
    REQUIRE(made.has_value());
    socket = std::move(*made);
    thread = std::thread{[this] {
      const auto ended = socket->serve(
          signals[0], [sink = socket->sink(), watch = socket->watch()](std::uint64_t number, const std::string& line) {
            (line == "ask" ? sink : watch)(number, "re " + line);
          });
      CHECK(ended.has_value());
    }};
  }
  ~watched_socket() {
    socket->stopper()();
    thread.join();
    ::close(signals[0]);
    ::close(signals[1]);
  }
  void tell(const std::string& line) const { socket->news().tell(line); }
  [[nodiscard]] bool wanted_within(std::chrono::milliseconds limit, bool wanted) const {
    for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;) {
      if (socket->news().wanted() == wanted) {
        return true;
      }
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }
};

/// Reads when it is told to.
class watcher {
public:
  watcher(const std::string& path, std::string_view request)
      : number_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const timeval patience{5, 0};
    ::setsockopt(number_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    REQUIRE(::connect(number_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::send(number_, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  }
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;
  ~watcher() { ::close(number_); }
  void finish_sending() const { ::shutdown(number_, SHUT_WR); }
  [[nodiscard]] std::string line() {
    while (received_.find('\n') == std::string::npos) {
      std::array<char, 65536> piece{};
      const auto size = ::recv(number_, piece.data(), piece.size(), 0);
      if (size <= 0) {
        return size == 0 ? "closed" : "nothing";
      }
      received_.append(piece.data(), static_cast<std::size_t>(size));
    }
    const auto end = received_.find('\n');
    auto first = received_.substr(0, end);
    received_.erase(0, end + 1);
    return first;
  }

private:
  int number_;
  std::string received_;
};

std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace

TEST_CASE_FIXTURE(watched_socket, "who watches is told after its answer, and others are not") {
  CHECK_FALSE(socket->news().wanted());
  tell("nobody hears this");
  watcher other(path, "ask\n");
  CHECK(other.line() == "re ask");
  watcher one(path, "watch\n");
  CHECK(one.line() == "re watch");
  CHECK(socket->news().wanted());
  tell("first");
  tell("second");
  CHECK(one.line() == "first");
  CHECK(one.line() == "second");
}

TEST_CASE_FIXTURE(watched_socket, "who watches may have finished sending, and nothing is told when it has gone") {
  {
    watcher one(path, "watch\n");
    one.finish_sending();
    CHECK(one.line() == "re watch");
    tell("first");
    CHECK(one.line() == "first");
    std::this_thread::sleep_for(20ms);
    tell("second");
    CHECK(one.line() == "second");
  }
  tell("to nobody"); // and with that it is noticed
  CHECK(wanted_within(5s, false));
}

TEST_CASE_FIXTURE(watched_socket, "who does not read loses what there is no room for, is told so, and delays nobody") {
  watcher slow(path, "watch\n");
  watcher quick(path, "watch\n");
  CHECK(slow.line() == "re watch");
  CHECK(quick.line() == "re watch");
  const std::string filling(1000, 'x');
  constexpr int many = 4000; // 4 MB: more than the kernel's buffers and the daemon's room together
  for (int i = 0; i < many; ++i) {
    tell(std::to_string(i) + filling);
    const auto line = quick.line();
    if (line != std::to_string(i) + filling) {
      FAIL(line.substr(0, 100));
    }
  }
  // What it has got is the beginning, then how much is missing; and it goes on.
  int got = 0;
  std::string line = slow.line();
  while (line == std::to_string(got) + filling) {
    ++got;
    line = slow.line();
  }
  CHECK(got > 200);
  CHECK(got < many);
  CHECK(line == actors::control::told_of_loss(static_cast<std::uint64_t>(many - got)));
  tell("on it goes");
  CHECK(slow.line() == "on it goes");
}

TEST_CASE_FIXTURE(watched_socket, "the client hands on each line until it has enough") {
  std::vector<std::string> lines;
  const auto done = client_program::follow(path, "watch", [&](const std::string& line) {
    lines.push_back(line);
    tell("news " + std::to_string(lines.size()));
    return lines.size() < 3;
  });
  CHECK(done.has_value());
  CHECK(lines == std::vector<std::string>{"re watch", "news 1", "news 2"});
  CHECK(client_program::follow(directory / "none", "watch", [](const std::string&) { return true; }).error().error ==
        ENOENT);
}

TEST_CASE("a daemon that ends is told to who follows") {
  pci::result<void> done;
  auto all = std::make_unique<watched_socket>();
  std::atomic<bool> answered = false;
  std::thread following{[&, path = all->path] {
    done = client_program::follow(path, "watch", [&](const std::string&) { return answered = true; });
  }};
  while (!answered) {
    std::this_thread::sleep_for(1ms);
  }
  all->socket->stopper()();
  all->thread.join();
  all->socket.reset(); // closes its connections
  all->thread = std::thread{[] {}};
  following.join();
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().error == ECONNRESET);
  all->socket = std::move(*control_socket::listen(all->path)); // for the fixture's end
}

// -- the file for node_exporter

TEST_CASE("a file is replaced as a whole, and what cannot be written is told") {
  const test::temporary_directory directory;
  const auto path = directory / "pcibackd.prom";
  CHECK(daemon_program::replace_file(path, "one\n").has_value());
  CHECK(daemon_program::replace_file(path, "two\n").has_value());
  CHECK(text_of_file(path) == "two\n");
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  CHECK(daemon_program::replace_file(directory / "none/pcibackd.prom", "x").error().error == ENOENT);
  std::filesystem::create_directory(directory / "taken.prom");
  CHECK(daemon_program::replace_file(directory / "taken.prom", "x").error().error == EISDIR);
  CHECK_FALSE(std::filesystem::exists(directory / "taken.prom.new"));
}

TEST_CASE("the metrics' file is written at once and again, and goes with the daemon") {
  const test::temporary_directory directory;
  const auto path = directory / "pcibackd.prom";
  std::atomic<int> count = 0;
  {
    const daemon_program::metrics_file file(
        path, [&count] { return std::to_string(++count) + "\n"; }, 5ms);
    for (const auto end = std::chrono::steady_clock::now() + 5s; count < 3 && std::chrono::steady_clock::now() < end;) {
      std::this_thread::sleep_for(1ms);
    }
    CHECK(count >= 3);
    CHECK(text_of_file(path).ends_with("\n"));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

// -- threads

TEST_CASE("the process sees its own threads, whatever they are called") {
  std::atomic<bool> named = false;
  std::atomic<bool> over = false;
  std::thread other{[&] {
    pthread_setname_np(pthread_self(), "a) S (b 1 2");
    named = true;
    over.wait(false);
  }};
  while (!named) {
    std::this_thread::sleep_for(1ms);
  }
  const auto all = daemon_program::own_threads();
  over = true;
  over.notify_all();
  other.join();
  const auto found = std::ranges::find(all, "a) S (b 1 2", &actors::thread_account::name);
  REQUIRE(found != all.end());
  CHECK(found->id != 0);
  CHECK(std::string_view{"RSD"}.find(found->state) != std::string_view::npos);
  CHECK(std::ranges::any_of(all, [](const auto& each) { return each.id == static_cast<std::uint32_t>(::getpid()); }));
}
