// SPDX-License-Identifier: GPL-2.0-or-later
// What systemd's journal is told: fields, message ids, limits; and that it still is by a process without rights.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <set>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/remote/sandbox.hpp"
#include "temporary_directory.hpp"
#include "tools/pcibackd/log.hpp"
#include "tools/pcibackd/system_journal.hpp"

using namespace daemon_program;
using namespace std::chrono_literals;
using actors::happening;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool can_give_up_rights = false; // their runtimes need more calls
#else
constexpr bool can_give_up_rights = true;
#endif

const auto card = pci::make_sbdf(0, 3, 0, 0);

bool has_field(const record_fields& all, const std::string& field) {
  return std::ranges::find(all, field) != all.end();
}
bool has_name(const record_fields& all, const std::string& name) {
  return std::ranges::any_of(all, [&](const auto& each) { return each.starts_with(name + "="); });
}

void put(int out, std::string_view text) {
  [[maybe_unused]] const auto written = ::write(out, text.data(), text.size());
}

/// In a process of its own, whose /run is its own too: a socket stands where journald's is. Logs as a daemon that
/// systemd started does, before and after it has given up its rights. `with_journald`: the socket is there.
[[noreturn]] void be_daemon(int out, bool with_journald) {
  const auto fail = [](int step) { std::_Exit(step); };
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", "/run", "tmpfs", 0, nullptr) != 0) {
    fail(77);
  }
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  constexpr std::string_view path = "/run/systemd/journal/socket";
  std::copy(path.begin(), path.end(), name.sun_path);
  if (::mkdir("/run/systemd", 0755) != 0 || ::mkdir("/run/systemd/journal", 0755) != 0 ||
      ::bind(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 || ::chmod(name.sun_path, 0666) != 0) {
    fail(2);
  }
  std::array<int, 2> error{};
  struct stat file {};
  if (::pipe(error.data()) != 0 || ::dup2(error[1], STDERR_FILENO) < 0 || ::fstat(STDERR_FILENO, &file) != 0) {
    fail(3);
  }
  ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", file.st_dev, file.st_ino).c_str(), 1);
  if (!with_journald) {
    ::close(socket); // the name stays, and nobody listens
  }
  const auto child = ::fork();
  if (child == 0) {
    start_log(config::log_level::info, "1.2.3");
    if (!platform::remote::give_up_rights({65534, 65534})) {
      fail(4);
    }
    if (::socket(AF_UNIX, SOCK_DGRAM, 0) >= 0) {
      fail(5);
    }
    spdlog::warn("0000:03:00.0: domain 3 wrote\n<0>PRIORITY=0");
    spdlog::debug("not told");
    record_event({happening::failed, card, messages::domain_id{3}, "web (3)", "the reset failed", {}});
    std::_Exit(0);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail(WIFEXITED(status) ? WEXITSTATUS(status) : 6);
  }
  std::vector<char> buffer(1 << 16);
  for (ssize_t size = 0; with_journald && (size = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0;) {
    put(out, {buffer.data(), static_cast<std::size_t>(size)});
    put(out, {"\0", 1}); // no record has one but in a length
  }
  put(out, "\1");
  static_cast<void>(::fcntl(error[0], F_SETFL, O_NONBLOCK));
  for (ssize_t size = 0; (size = ::read(error[0], buffer.data(), buffer.size())) > 0;) {
    put(out, {buffer.data(), static_cast<std::size_t>(size)});
  }
  std::_Exit(0);
}

/// Empty: this user may not have a /run of his own.
std::optional<std::string> hear_daemon(bool with_journald) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(pipe[0]);
    be_daemon(pipe[1], with_journald);
  }
  ::close(pipe[1]);
  std::string all;
  std::array<char, 4096> part{};
  for (ssize_t size = 0; (size = ::read(pipe[0], part.data(), part.size())) > 0;) {
    all.append(part.data(), static_cast<std::size_t>(size));
  }
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    return std::nullopt;
  }
  REQUIRE(WEXITSTATUS(status) == 0);
  return all;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("journal: a line's function and domain are fields, and what else it says is not") {
  using level = spdlog::level::level_enum;
  const auto of = [](const char* line) { return fields_of_line(level::warn, line); };
  const auto both = of("0000:03:00.0: domain 3 wrote 40 (size 4)");
  CHECK(has_field(both, "PCIBACKD_BDF=0000:03:00.0"));
  CHECK(has_field(both, "PCIBACKD_DOMAIN=3"));
  CHECK(has_field(both, "PRIORITY=4"));
  CHECK(has_field(both, "MESSAGE=0000:03:00.0: domain 3 wrote 40 (size 4)"));
  CHECK(has_field(of("0000:03:00.0 is held"), "PCIBACKD_BDF=0000:03:00.0"));
  CHECK(has_field(of("0000:03:00.0"), "PCIBACKD_BDF=0000:03:00.0"));
  CHECK(has_field(of("domain 12: backend Connected"), "PCIBACKD_DOMAIN=12"));
  CHECK(has_field(of("domain 12's frontend"), "PCIBACKD_DOMAIN=12"));
  for (const auto* line : {"", "x 0000:03:00.0", "0000:03:00.9 is held", "0000:03:00.01", "serving guests"}) {
    CAPTURE(line);
    CHECK_FALSE(has_name(of(line), "PCIBACKD_BDF"));
  }
  // A guest may have said what comes later.
  for (const auto* line : {"the guest says domain 3", "domain 99999999", "domain x", "domain 3x", "domain ",
                           "0000:03:00.0 domain 3", "0000:03:00.0: it says: domain 3"}) {
    CAPTURE(line);
    CHECK_FALSE(has_name(of(line), "PCIBACKD_DOMAIN"));
  }
  CHECK(priority_of(level::trace) == 7);
  CHECK(priority_of(level::debug) == 7);
  CHECK(priority_of(level::info) == 6);
  CHECK(priority_of(level::err) == 3);
  CHECK(priority_of(level::critical) == 2);
}

TEST_CASE("journal: each kind of event has an id of its own, in the catalogue's form") {
  std::set<std::string_view> ids{beginning_id};
  for (std::size_t number = 0; number < actors::happening_names.size(); ++number) {
    const auto id = message_id(static_cast<happening>(number));
    CHECK(id.size() == 32);
    CHECK(id.find_first_not_of("0123456789abcdef") == std::string_view::npos);
    ids.insert(id);
  }
  CHECK(ids.size() == actors::happening_names.size() + 1);
  const auto fields = fields_of_event({happening::failed, card, messages::domain_id{3}, "web (3)", "no answer", {}}, 2);
  for (const auto* field :
       {"MESSAGE=event: failed: 0000:03:00.0: web (3): no answer (2 events left out before)",
        "PCIBACKD_OPERATION=failed", "PCIBACKD_BDF=0000:03:00.0", "PCIBACKD_DOMAIN=3", "PRIORITY=3"}) {
    CHECK_MESSAGE(has_field(fields, field), field);
  }
  CHECK(has_field(fields, fmt::format("MESSAGE_ID={}", message_id(happening::failed))));
  const auto bare = fields_of_event({happening::ended, std::nullopt, messages::domain_id{3}, "", "", {}}, 0);
  CHECK(has_field(bare, "MESSAGE=event: ended: domain 3"));
  CHECK_FALSE(has_name(bare, "PCIBACKD_BDF"));
}

TEST_CASE("journal: what one guest can cause is limited, and others' and the administrator's is not") {
  std::vector<record_fields> sent;
  event_recorder recorder([&](const record_fields& fields) {
    sent.push_back(fields);
    return 0;
  });
  const auto from = [](messages::domain_id domain, happening what = happening::connected) {
    return actors::event{what, std::nullopt, domain, "", "", {}};
  };
  for (int times = 0; times < 1000; ++times) {
    recorder.tell(from(3), 1h);
  }
  CHECK(sent.size() == 40);
  recorder.tell(from(4), 1h);
  CHECK(sent.size() == 41);
  for (int times = 0; times < 100; ++times) {
    recorder.tell({happening::held, card, std::nullopt, "", "", {}}, 1h);
  }
  CHECK(sent.size() == 141);
  recorder.tell(from(3), 1h + 7s);
  REQUIRE(sent.size() == 142);
  CHECK(has_field(sent.back(), "MESSAGE=event: connected: domain 3 (960 events left out before)"));
  recorder.tell(from(3, happening::ended), 1h + 14s);
  CHECK(sent.size() == 143);
  recorder.tell(from(3), 1h + 14s); // the number is another guest's now
  CHECK(sent.size() == 144);
}

TEST_CASE("journal: a line that it does not take is not lost to the other sinks") {
  std::vector<record_fields> sent;
  const auto sink = make_journal_sink([&](const record_fields& fields) {
    sent.push_back(fields);
    return 0;
  });
  spdlog::logger logger("one", sink);
  logger.error("0000:03:00.0 is not held: {}", "busy\nMESSAGE_ID=1");
  REQUIRE(sent.size() == 1);
  CHECK(has_field(sent.front(), "MESSAGE=0000:03:00.0 is not held: busy\nMESSAGE_ID=1"));
  CHECK_FALSE(has_name(sent.front(), "MESSAGE_ID"));
}

TEST_CASE("journal: systemd's gets the records of a process that has given up its rights, field by field") {
  const auto said = can_give_up_rights ? hear_daemon(true) : std::nullopt;
  if (!said) {
    MESSAGE("left out: a process of this user cannot have a /run of its own, or not without rights");
    return;
  }
  CHECK(contains(*said, "MESSAGE=pcibackd 1.2.3 begins\n"));
  CHECK(contains(*said, fmt::format("MESSAGE_ID={}\n", beginning_id)));
  CHECK(contains(*said, "PCIBACKD_BDF=0000:03:00.0\n"));
  CHECK(contains(*said, "PCIBACKD_DOMAIN=3\n"));
  CHECK(contains(*said, "PCIBACKD_OPERATION=failed\n"));
  CHECK(contains(*said, fmt::format("MESSAGE_ID={}\n", message_id(happening::failed))));
  CHECK(contains(*said, "MESSAGE=event: failed: 0000:03:00.0: web (3): the reset failed\n"));
  // A value of more lines goes with its length: nothing in it becomes a field.
  const std::string message = "0000:03:00.0: domain 3 wrote\n<0>PRIORITY=0";
  std::string length(8, '\0');
  length[0] = static_cast<char>(message.size());
  CHECK(contains(*said, "MESSAGE\n" + length + message + "\n"));
  CHECK_FALSE(contains(*said, "not told"));
  CHECK(said->ends_with('\1')); // nothing on standard error
}

TEST_CASE("journal: without journald the log is on standard error, with its priorities") {
  const auto said = can_give_up_rights ? hear_daemon(false) : std::nullopt;
  if (!said) {
    return;
  }
  CHECK(contains(*said, "<4>0000:03:00.0: domain 3 wrote"));
}
