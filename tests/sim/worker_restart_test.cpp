// SPDX-License-Identifier: GPL-2.0-or-later
// A worker that a signal ends is started again by its host process; and the watchdog.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "temporary_directory.hpp"
#include "tools/pcibackd/restarts.hpp"
#include "tools/pcibackd/signals.hpp"
#include "tools/pcibackd/two_processes.hpp"
#include "tools/pcibackd/watchdog.hpp"
#include "two_cards.hpp"
#include "two_processes_support.hpp"

using namespace std::chrono_literals;
using namespace test;
using daemon_program::restarts;

// The runtimes of the sanitizers need more calls than the worker has.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool workers_run = false;
#else
constexpr bool workers_run = true;
#endif

namespace {

constexpr const char* runs_record = "runs"; // a record that says how many workers there have been

/// How many there have been, this one included.
int count_run(platform::remote::remote_host& worker) {
  const auto before = worker.journal()->read(runs_record);
  const auto now = before ? std::stoi(*before) + 1 : 1;
  return worker.journal()->write(runs_record, std::to_string(now)) ? now : 0;
}

struct deaf_sink final : platform::event_sink {
  void store_changed(const std::string& /*path*/, const std::string& /*token*/) override {}
  void line_interrupts(std::span<const pci::sbdf> /*addresses*/) override {}
  void function_removed(const pci::sbdf& /*address*/) override {}
  void function_added(const pci::sbdf& /*address*/) override {}
  void lost(std::string_view /*what*/, const std::string& /*reason*/) override {}
};

/// doctest would report what is meant to happen.
void leave_signals_alone() {
  for (const auto each : {SIGILL, SIGABRT, SIGSEGV}) {
    std::signal(each, SIG_DFL);
  }
}

[[noreturn]] void crash_quietly() {
  leave_signals_alone();
  __builtin_trap();
}

struct host_with_workers {
  host_with_workers() {
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    signals = daemon_program::take_signals();
    REQUIRE(signals);
    settings.runtime = directory / "run";
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "nvme");
  }
  host_with_workers(const host_with_workers&) = delete;
  host_with_workers& operator=(const host_with_workers&) = delete;
  ~host_with_workers() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }

  pci::result<int> run(std::function<pci::result<void>(platform::remote::remote_host&, int)> work,
                       const std::string& file = {}) {
    const auto open = [&]() -> pci::result<daemon_program::opened_host> {
      return daemon_program::opened_host{std::make_unique<borrowed_host>(host),
                                         std::make_unique<simulated_hands>(host)};
    };
    return daemon_program::run_two_processes(settings, signals->get(),
                                             {open, std::move(work), hands, host.time(), -1, file});
  }
  /// How many workers there were.
  std::string count() {
    std::string text;
    std::getline(std::ifstream(std::filesystem::path(settings.runtime) / "journal" / "runs.json"), text);
    return text;
  }

  sigset_t before{};
  pci::result<platform::descriptor> signals;
  temporary_directory directory;
  config::settings settings;
  platform::sim::host host{platform::sim::clock::kind::real};
  simulated_hands hands{host};
};

actors::actor_account account_of(const std::string& kind, std::optional<std::chrono::nanoseconds> oldest) {
  actors::actor_account one;
  one.kind = kind;
  one.subject = "it";
  one.oldest = oldest;
  return one;
}

} // namespace

TEST_CASE("worker restarts: at once, then after pauses that double, and no more than so many in a short time") {
  restarts again;
  auto now = restarts::duration(1000);
  auto expected = restarts::first_pause;
  CHECK(again.next(now) == restarts::duration(0));
  for (unsigned i = 2; i <= restarts::most; ++i, expected *= 2) {
    CHECK(again.next(now += restarts::calm - 1ms) == expected);
    CHECK(again.count() == i);
  }
  CHECK_FALSE(again.next(now += 1ms));
  CHECK_FALSE(again.next(now += restarts::calm - 1ms));
  CHECK(again.next(now += restarts::calm) == restarts::duration(0)); // it has lived
  CHECK(again.count() == 1);
}

TEST_CASE("two processes: a worker that crashes is started again, and what its predecessor had asked for is no more") {
  if (!workers_run) {
    return;
  }
  host_with_workers all;
  const auto path = platform::sim::backend_path(7);
  const auto done = all.run([&](platform::remote::remote_host& worker, int) -> pci::result<void> {
    const auto run = count_run(worker);
    deaf_sink sink;
    // Neither the watch nor the start may still be the last one's.
    auto begun =
        worker.xenstore().watch(path, "token", platform::store::any_depth).and_then([&] { return worker.start(sink); });
    if (!begun) {
      std::_Exit(40 + run);
    }
    if (run < 4) {
      crash_quietly();
    }
    worker.stop();
    return {};
  });
  CHECK(done.value() == EXIT_SUCCESS);
  CHECK(all.count() == "4");
}

TEST_CASE("two processes: a worker that crashes again and again ends both") {
  if (!workers_run) {
    return;
  }
  host_with_workers all;
  const auto done = all.run([](platform::remote::remote_host& worker, int) -> pci::result<void> {
    count_run(worker);
    crash_quietly();
  });
  CHECK(done.value() == EXIT_FAILURE);
  CHECK(all.count() == std::to_string(restarts::most + 1));
}

TEST_CASE("two processes: an exception that nobody expects is a crash of the worker") {
  if (!workers_run) {
    return;
  }
  host_with_workers all;
  const auto done = all.run([](platform::remote::remote_host& worker, int) -> pci::result<void> {
    if (count_run(worker) == 1) {
      leave_signals_alone();
      throw std::runtime_error("nobody expects this");
    }
    return {};
  });
  CHECK(done.value() == EXIT_SUCCESS);
  CHECK(all.count() == "2");
}

TEST_CASE("two processes: a worker that crashes when it was asked to end is the last") {
  if (!workers_run) {
    return;
  }
  host_with_workers all;
  REQUIRE(::kill(::getpid(), SIGTERM) == 0); // it waits in the signalfd
  const auto done = all.run([](platform::remote::remote_host& worker, int signals) -> pci::result<void> {
    count_run(worker);
    signalfd_siginfo what{};
    while (::read(signals, &what, sizeof what) != sizeof what) {
      std::this_thread::sleep_for(1ms);
    }
    crash_quietly();
  });
  CHECK(done.value() == EXIT_FAILURE);
  CHECK(all.count() == "1");
}

TEST_CASE("two processes: a worker that is started again reads the settings again, if there is a file") {
  if (!workers_run) {
    return;
  }
  for (const bool has_file : {true, false}) {
    CAPTURE(has_file);
    host_with_workers all;
    const auto file = all.directory / "settings";
    std::ofstream(file) << "[daemon]\n";
    const auto done = all.run(
        [has_file](platform::remote::remote_host& worker, int signals) -> pci::result<void> {
          signalfd_siginfo what{};
          const bool told = ::read(signals, &what, sizeof what) == sizeof what && what.ssi_signo == SIGHUP;
          if (count_run(worker) == 1) {
            if (told) {
              std::_Exit(41);
            }
            crash_quietly();
          }
          for (int tries = 0; tries < 2000 && has_file && what.ssi_signo != SIGHUP; ++tries) {
            std::this_thread::sleep_for(1ms);
            [[maybe_unused]] const auto got = ::read(signals, &what, sizeof what);
          }
          return (what.ssi_signo == SIGHUP) == has_file ? pci::result<void>{} : pci::fail(EINVAL, "not as expected");
        },
        has_file ? file : std::string{});
    CHECK(done.value() == EXIT_SUCCESS);
    CHECK(all.count() == "2");
  }
}

TEST_CASE("watchdog: who has to answer and does not is named, and nobody else") {
  using daemon_program::first_silent;
  const auto patience = 10s;
  CHECK(first_silent({}, patience) == "");
  CHECK(first_silent({account_of("root", {}), account_of("device", patience)}, patience) == "");
  for (const auto* kind : {"root", "device", "domain", "control"}) {
    CHECK(first_silent({account_of("root", {}), account_of(kind, patience + 1ns)}, patience) ==
          std::string(kind) + " it");
  }
  // These wait for hardware and for xenstored.
  CHECK(first_silent({account_of("worker", 1h), account_of("thread", 1h)}, patience) == "");
  auto passing = account_of("device", 1h);
  passing.lasts = false;
  CHECK(first_silent({passing}, patience) == "");
  auto only = account_of("root", 1h);
  only.subject.clear();
  CHECK(first_silent({only}, patience) == "root");
}

TEST_CASE("watchdog: it is told again and again while all answer, and not while somebody does not") {
  std::atomic<int> told{0};
  std::atomic<bool> hangs{false};
  const auto comes_beyond = [&](int count) {
    for (int tries = 0; tries < 2000 && told <= count; ++tries) {
      std::this_thread::sleep_for(1ms);
    }
    return told > count;
  };
  const daemon_program::watchdog dog(
      20ms,
      [&](std::chrono::microseconds patience) {
        CHECK(patience == 5ms);
        return std::string(hangs ? "root" : "");
      },
      [&] { ++told; });
  CHECK(comes_beyond(3));
  hangs = true;
  std::this_thread::sleep_for(20ms);
  const int then = told;
  std::this_thread::sleep_for(50ms);
  CHECK(told == then);
  hangs = false;
  CHECK(comes_beyond(then));
}
