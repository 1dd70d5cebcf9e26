// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "temporary_directory.hpp"
#include "tools/pcibackd/control_socket.hpp"
#include "tools/pcibackd/instance_lock.hpp"

using daemon_program::control_socket;
using platform::descriptor;
using namespace std::chrono_literals;

namespace {

/// A client of the socket, which gives up after 5 s.
class client {
public:
  explicit client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const timeval patience{5, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    connected_ = ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  bool send(std::string_view text) const {
    return ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void finish_sending() const { ::shutdown(socket_.get(), SHUT_WR); }
  /// A line without its end; "closed" when the daemon closed instead, "nothing" when none came within `limit`.
  [[nodiscard]] std::string line(std::chrono::milliseconds limit = 5s) {
    const timeval patience{limit.count() / 1000, limit.count() % 1000 * 1000};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (received_.find('\n') == std::string::npos) {
      std::array<char, 4096> buffer{};
      const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (size <= 0) {
        return size == 0 || errno == ECONNRESET ? "closed" : "nothing";
      }
      received_.append(buffer.data(), static_cast<std::size_t>(size));
    }
    const auto end = received_.find('\n');
    auto first = received_.substr(0, end);
    received_.erase(0, end + 1);
    return first;
  }

private:
  descriptor socket_;
  bool connected_ = false;
  std::string received_;
};

/// The socket served on a thread; requests are written down, and answered when the test says.
struct served_socket {
  test::temporary_directory directory;
  std::string path = directory / "run/control.sock";
  std::unique_ptr<control_socket> socket;
  std::array<int, 2> signals{};
  std::mutex mutex;
  std::vector<std::pair<std::uint64_t, std::string>> requests;
  std::atomic<bool> echo = true;
  pci::result<int> outcome;
  std::thread thread;

  served_socket() {
    REQUIRE(::pipe(signals.data()) == 0);
    auto made = control_socket::listen(path);
    REQUIRE(made.has_value());
    socket = std::move(*made);
    thread = std::thread{[this] {
      outcome = socket->serve(signals[0], [this, sink = socket->sink()](std::uint64_t number, std::string line) {
        if (echo) {
          sink(number, "re " + line.substr(0, 100));
        }
        const std::lock_guard lock(mutex);
        requests.emplace_back(number, std::move(line));
      });
    }};
  }
  ~served_socket() {
    stop();
    ::close(signals[0]);
    ::close(signals[1]);
  }
  void stop() {
    if (thread.joinable()) {
      socket->stopper()();
      thread.join();
    }
  }
  /// Waits for the request with this index.
  [[nodiscard]] std::pair<std::uint64_t, std::string> request(std::size_t index) {
    for (const auto end = std::chrono::steady_clock::now() + 5s; std::chrono::steady_clock::now() < end;) {
      {
        const std::lock_guard lock(mutex);
        if (requests.size() > index) {
          return requests[index];
        }
      }
      std::this_thread::sleep_for(1ms);
    }
    return {0, "none came"};
  }
};

unsigned mode_of(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? found.st_mode & 0777U : 0;
}

} // namespace

TEST_CASE_FIXTURE(served_socket, "the control socket is root's alone, in a directory that is made for it") {
  CHECK(mode_of(path) == 0600);
  CHECK(mode_of(directory / "run") == 0755);
  stop();
  socket.reset();
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("one daemon at a time, whatever socket it has") {
  const test::temporary_directory directory;
  const std::filesystem::path file = std::filesystem::path(directory / "made") / "lock";
  {
    const auto first = daemon_program::lock_instance(file);
    REQUIRE(first);
    const auto second = daemon_program::lock_instance(file);
    REQUIRE_FALSE(second);
    CHECK(second.error().error == EADDRINUSE);
    CHECK(second.error().context.find("already running") != std::string::npos);
  }
  CHECK(daemon_program::lock_instance(file)); // the first has ended, and its file is left
  CHECK_FALSE(daemon_program::lock_instance("/proc/none/lock"));
}

TEST_CASE_FIXTURE(served_socket, "each line is a request, and its answer comes to whoever sent it") {
  client one{path};
  client two{path};
  REQUIRE(one.connected());
  REQUIRE(two.connected());
  CHECK(one.send("a\n"));
  CHECK(one.line() == "re a");
  CHECK(two.send("b\n\n\nc\n"));
  CHECK(two.line() == "re b");
  CHECK(two.line() == "re c");
  CHECK(one.send("d"));
  CHECK(one.line(50ms) == "nothing");
  CHECK(one.send("e\n"));
  CHECK(one.line() == "re de");
}

TEST_CASE_FIXTURE(served_socket, "a connection has one request carried out at a time, another's do not wait for it") {
  echo = false;
  client one{path};
  CHECK(one.send("first\nsecond\n"));
  const auto first = request(0);
  CHECK(first.second == "first");
  client two{path};
  CHECK(two.send("other\n"));
  CHECK(request(1).second == "other");
  std::this_thread::sleep_for(20ms);
  CHECK(requests.size() == 2);
  socket->sink()(first.first, "done");
  CHECK(one.line() == "done");
  CHECK(request(2).second == "second");
  // A notification: finished without a line.
  socket->sink()(first.first, "");
  CHECK(one.send("third\n"));
  CHECK(request(3).second == "third");
  CHECK(one.line(20ms) == "nothing");
}

TEST_CASE_FIXTURE(served_socket, "a client that has finished sending still gets its answers") {
  client one{path};
  CHECK(one.send("a\nb\nunfinished"));
  one.finish_sending();
  CHECK(one.line() == "re a");
  CHECK(one.line() == "re b");
  CHECK(one.line() == "closed");
}

TEST_CASE_FIXTURE(served_socket, "a line without an end is handed on cut, answered, and the connection closed") {
  client one{path};
  CHECK(one.send(std::string(control_socket::longest_line, 'x') + "\n"));
  CHECK(one.line() == "re " + std::string(100, 'x'));
  CHECK(request(0).second.size() == control_socket::longest_line);
  CHECK(one.send(std::string(control_socket::longest_line + 1, 'y')));
  CHECK(request(1).second.size() == control_socket::longest_line + 1);
  CHECK(one.line() == "re " + std::string(100, 'y'));
  CHECK(one.line() == "closed");
}

TEST_CASE_FIXTURE(served_socket, "a client that goes while its request is carried out harms nobody") {
  echo = false;
  {
    client one{path};
    CHECK(one.send("a\n"));
    CHECK(request(0).second == "a");
  }
  socket->sink()(request(0).first, "too late");
  echo = true;
  client two{path};
  CHECK(two.send("b\n"));
  CHECK(two.line() == "re b");
}

TEST_CASE_FIXTURE(served_socket, "the seventeenth connection is served when one of the sixteen goes") {
  std::vector<client> sixteen;
  for (std::size_t index = 0; index < control_socket::most_connections; ++index) {
    sixteen.emplace_back(path);
    CHECK(sixteen.back().send("a\n"));
    CHECK(sixteen.back().line() == "re a");
  }
  client late{path};
  CHECK(late.send("b\n"));
  CHECK(late.line(50ms) == "nothing");
  sixteen.pop_back();
  CHECK(late.line() == "re b");
}

TEST_CASE_FIXTURE(served_socket, "a client that reads nothing is closed when 4 MiB wait for it") {
  echo = false;
  client deaf{path};
  CHECK(deaf.send("a\n"));
  socket->sink()(request(0).first, std::string(control_socket::most_unsent * 2, 'x'));
  client other{path};
  echo = true;
  CHECK(other.send("b\n"));
  CHECK(other.line() == "re b");
  CHECK_FALSE(deaf.send("c\n"));
}

TEST_CASE_FIXTURE(served_socket, "a signal ends it, and says which") {
  signalfd_siginfo what{};
  what.ssi_signo = SIGTERM;
  REQUIRE(::write(signals[1], &what, sizeof what) == sizeof what);
  thread.join();
  REQUIRE(outcome.has_value());
  CHECK(*outcome == SIGTERM);
}

TEST_CASE_FIXTURE(served_socket, "answers after its end go nowhere") {
  const auto sink = socket->sink();
  const auto stopper = socket->stopper();
  stop();
  CHECK(outcome == 0);
  socket.reset();
  sink(1, "x");
  stopper();
}

TEST_CASE_FIXTURE(served_socket, "a second daemon is refused, and the first goes on") {
  const auto second = control_socket::listen(path);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().error == EADDRINUSE);
  CHECK(second.error().context == "pcibackd is already running: somebody serves " + path);
  client one{path};
  CHECK(one.send("a\n"));
  CHECK(one.line() == "re a");
}

TEST_CASE("a socket that a killed daemon left is replaced, another file is not") {
  const test::temporary_directory directory;
  const auto path = directory / "control.sock";
  {
    const descriptor dead{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK(control_socket::listen(path).has_value());

  const auto file = directory / "precious";
  std::ofstream{file} << "text";
  const auto refused = control_socket::listen(file);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().error == ENOTSOCK);
  CHECK(std::filesystem::file_size(file) == 4);
}

TEST_CASE("a socket that cannot be made says why") {
  const auto deep = control_socket::listen("/nowhere/at/all/control.sock");
  REQUIRE_FALSE(deep.has_value());
  CHECK(deep.error().error == ENOENT);
  CHECK(deep.error().context.find("/nowhere/at/all") == 0);
  const auto longer = control_socket::listen("/" + std::string(200, 'x'));
  REQUIRE_FALSE(longer.has_value());
  CHECK(longer.error().error == ENAMETOOLONG);
}
