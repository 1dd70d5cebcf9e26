// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/two_processes.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/journal/record.hpp"
#include "config/document.hpp"
#include "platform/linux/directory_records.hpp"
#include "platform/remote/sandbox.hpp"
#include "platform/remote/server.hpp"

namespace daemon_program {
namespace {

namespace remote = platform::remote;
using platform::descriptor;
using platform::linux_host::directory_records;

constexpr const char* held_directory = "held"; ///< below the settings' `runtime`

/// One end of each, for one of the processes.
struct ends {
  descriptor requests;
  descriptor events;
  descriptor signals; ///< a pipe: what the host process reads of signals, the worker reads here
};

pci::result<std::pair<ends, ends>> make_ends() {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return pci::fail(errno, "cannot make a pipe between the two processes");
  }
  descriptor reading{pipe[0]};
  descriptor writing{pipe[1]};
  auto requests = remote::make_socket_pair();
  auto events = remote::make_socket_pair();
  if (!requests || !events) {
    return tl::unexpected(requests ? events.error() : requests.error());
  }
  return std::pair{ends{std::move(requests->first), std::move(events->first), std::move(writing)},
                   ends{std::move(requests->second), std::move(events->second), std::move(reading)}};
}

// -- the worker

[[noreturn]] void be_worker(ends mine, const remote::worker_user& user, const processes& how) {
  const auto complain = [](const pci::failure& why) {
    static_cast<void>(std::fputs(("pcibackd: " + pci::to_string(why) + "\n").c_str(), stderr));
    std::_Exit(EXIT_FAILURE);
  };
  if (const auto given_up = remote::give_up_rights(user); !given_up) {
    complain(given_up.error());
  }
  {
    remote::remote_host host(std::move(mine.requests), std::move(mine.events), how.hands, how.time);
    if (!host.is_open()) { // it has said why
      std::_Exit(EXIT_FAILURE);
    }
    if (const auto done = how.work(host, mine.signals.get()); !done) {
      complain(done.error());
    }
  }
  std::_Exit(EXIT_SUCCESS);
}

// -- the host process

/// What it says of requests that were refused: the worker makes none of these by itself.
class refusals {
public:
  void tell(const std::string& why) {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - minute_ > std::chrono::minutes(1)) {
      minute_ = now;
      told_ = 0;
    }
    if (++told_ <= most_a_minute) {
      spdlog::error("the process that serves the guests asked for what it must not have: {}", why);
    }
  }

private:
  static constexpr int most_a_minute = 10;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point minute_{};
  int told_ = 0;
};

/// Functions that a daemon of one process has held before this one, by its journal.
void take_over_from_one_process(remote::holdings& known, platform::records& journal) {
  if (!known.is_first()) {
    return;
  }
  for (const auto& name : journal.names().value_or(std::vector<std::string>{})) {
    const auto text = journal.read(name);
    if (const auto record = text ? actors::parse_record(*text) : tl::unexpected(text.error()); record) {
      known.import(record->function);
    }
  }
}

/// What the settings say of functions that dom0 runs from: those of the start, or of the file when it was last read.
class overridden_boot {
public:
  overridden_boot(const config::settings& first, std::string file) : now_(first), file_(std::move(file)) {}

  bool is(const pci::identity& what) {
    const std::lock_guard lock(mutex_);
    const auto* device = now_.find(what);
    return device != nullptr && device->override_boot;
  }
  pci::result<std::string> read_again() {
    if (file_.empty()) {
      return pci::fail(ENOENT, "the daemon was started without a file of settings");
    }
    return config::read_file(file_).map([&](std::string text) {
      if (const auto next = config::parse(text, file_)) { // who asked says what is wrong with it
        const std::lock_guard lock(mutex_);
        now_ = *next;
      }
      return text;
    });
  }

private:
  std::mutex mutex_;
  pci::settings now_;
  const std::string file_;
};

std::vector<remote::thread_time> times_of(pid_t process) {
  std::vector<remote::thread_time> all;
  for (const auto& each : threads_of(process)) {
    all.push_back({each.id, each.name, each.state, static_cast<std::uint64_t>(each.processor.count())});
  }
  return all;
}

/// Waits until the worker has ended, and passes signals on. Its exit status.
int wait_for(pid_t worker, int signals, int pass_on) {
  for (;;) {
    pollfd watched{signals, POLLIN, 0};
    static_cast<void>(::poll(&watched, 1, -1));
    signalfd_siginfo what{};
    if (::read(signals, &what, sizeof what) != sizeof what) {
      continue;
    }
    if (what.ssi_signo != SIGCHLD) {
      static_cast<void>(::write(pass_on, &what, sizeof what));
      continue;
    }
    int status = 0;
    if (::waitpid(worker, &status, WNOHANG) != worker) {
      continue;
    }
    if (WIFSIGNALED(status)) {
      spdlog::error("the process that serves the guests was ended by signal {}", WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
  }
}

/// SIGCHLD, which only the host process has to hear of, beside all that ends the daemon or has it look at its settings.
pci::result<void> hear_of_child(int signals) {
  sigset_t all;
  sigemptyset(&all);
  for (const auto each : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) {
    sigaddset(&all, each);
  }
  if (::pthread_sigmask(SIG_BLOCK, &all, nullptr) != 0 || ::signalfd(signals, &all, 0) < 0) {
    return pci::fail(errno, "cannot watch for the end of the worker");
  }
  return {};
}

pci::result<int> be_host_process(ends mine, pid_t worker, const config::settings& settings, int signals,
                                 const processes& how) {
  auto opened = how.open_host();
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  const std::filesystem::path runtime{settings.runtime};
  auto journal = directory_records::open(runtime / "journal");
  auto own = directory_records::open(runtime / held_directory, ".held");
  if (!journal || !own) {
    return tl::unexpected(journal ? own.error() : journal.error());
  }
  remote::holdings known{*opened->where, *own};
  take_over_from_one_process(known, **journal);
  overridden_boot overridden{settings, how.settings_file};
  refusals refused;
  const remote::server serving{{.where = *opened->where,
                                .hands = *opened->hands,
                                .known = known,
                                .journal = *journal,
                                .open_words = [&] { return (*journal)->open_lasting(); },
                                .overrides_boot = [&](const pci::identity& what) { return overridden.is(what); },
                                .notify = notify_service_manager,
                                .replace_metrics = [&](const std::string& text) -> pci::result<void> {
                                  if (settings.metrics_file.empty()) {
                                    return pci::fail(ENOENT, "the settings name no file for the metrics");
                                  }
                                  return replace_file(settings.metrics_file, text);
                                },
                                .remove_metrics =
                                    [&] {
                                      if (!settings.metrics_file.empty()) {
                                        remove_file(settings.metrics_file);
                                      }
                                    },
                                .threads = [worker] { return times_of(worker); },
                                .read_settings = [&] { return overridden.read_again(); },
                                .refused = [&](const std::string& why) { refused.tell(why); }},
                               std::move(mine.requests),
                               std::move(mine.events)};
  return wait_for(worker, signals, mine.signals.get());
}

} // namespace

pci::result<int> run_two_processes(const config::settings& settings, int signals, processes how) {
  const auto user = remote::find_worker_user();
  auto both = make_ends();
  if (!both) {
    return tl::unexpected(both.error());
  }
  auto& [hosts, workers] = *both;
  if (auto heard = hear_of_child(signals); !heard) {
    return tl::unexpected(heard.error());
  }
  const auto worker = ::fork();
  if (worker < 0) {
    return pci::fail(errno, "cannot start the second process");
  }
  if (worker == 0) {
    hosts = {};
    for (const auto each : {signals, how.lock}) {
      if (each >= 0) {
        ::close(each);
      }
    }
    be_worker(std::move(workers), user, how);
  }
  workers = {};
  return be_host_process(std::move(hosts), worker, settings, signals, how);
}

void forget_held(const config::settings& settings) {
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path{settings.runtime} / held_directory, ignored);
}

pci::result<void> run_worker(remote::remote_host& host, const config::settings& settings, control_socket& socket,
                             int signals) {
  outside world;
  world.notify = [&](const std::string& state) { static_cast<void>(host.notify(state)); };
  world.metrics = {[&](const std::string& /*path*/, const std::string& text) { return host.replace_metrics(text); },
                   [&](const std::string& /*path*/) { host.remove_metrics(); }};
  world.threads = [&] {
    std::vector<actors::thread_account> all;
    for (const auto& each : host.threads()) {
      all.push_back({each.id, each.name, each.state, std::chrono::milliseconds(each.milliseconds)});
    }
    return all;
  };
  world.read_settings = [&](const std::string& /*file*/) { return host.read_settings(); };
  return run_daemon(host, settings, socket, signals, {}, {}, host.journal(), {}, world);
}

} // namespace daemon_program
