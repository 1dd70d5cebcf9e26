// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/host_process.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

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
#include "platform/remote/server.hpp"
#include "tools/pcibackd/restarts.hpp"

namespace daemon_program {
namespace {

namespace remote = platform::remote;
using platform::descriptor;
using platform::linux_host::directory_records;

/// Those of the host process, and the worker's.
pci::result<std::pair<process_ends, process_ends>> make_ends() {
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
  return std::pair{process_ends{std::move(requests->first), std::move(events->first), std::move(writing)},
                   process_ends{std::move(requests->second), std::move(events->second), std::move(reading)}};
}

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

/// How a worker has ended.
struct worker_end {
  int status = 0;     ///< as waitpid has it
  bool asked = false; ///< a signal had asked for it
};

/// Reads a signal and passes it on; whether it ends the daemon.
bool take_signal(int signals, int pass_on) {
  signalfd_siginfo what{};
  if (::read(signals, &what, sizeof what) != sizeof what) {
    return false;
  }
  [[maybe_unused]] const auto written = ::write(pass_on, &what, sizeof what);
  return what.ssi_signo != SIGHUP;
}

/// Waits until the worker has ended, and passes signals on.
pci::result<worker_end> wait_for(const worker_starter& workers, int signals, int pass_on) {
  for (bool asked = false;;) {
    std::array<pollfd, 2> watched{{{signals, POLLIN, 0}, {workers.end_announced(), POLLIN, 0}}};
    static_cast<void>(::poll(watched.data(), watched.size(), -1));
    if (watched[0].revents != 0) {
      asked = take_signal(signals, pass_on) || asked;
    }
    if (watched[1].revents != 0) {
      return workers.ended().map([&](int status) { return worker_end{status, asked}; });
    }
  }
}

/// False: a signal ends the daemon meanwhile.
bool wait_before_restart(restarts::duration pause, int signals) {
  const auto until = std::chrono::steady_clock::now() + pause;
  for (auto left = pause; left.count() > 0;
       left = std::chrono::ceil<restarts::duration>(until - std::chrono::steady_clock::now())) {
    pollfd watched{signals, POLLIN, 0};
    if (::poll(&watched, 1, static_cast<int>(left.count())) > 0 && take_signal(signals, -1)) {
      return false;
    }
  }
  return true;
}

/// The host process: what it knows and keeps, whichever worker asks.
class host_process {
public:
  host_process(opened_host opened, std::shared_ptr<directory_records> journal, std::shared_ptr<platform::records> own,
               const config::settings& settings, const processes& how)
      : opened_(std::move(opened)), journal_(std::move(journal)), known_(*opened_.where, std::move(own)),
        settings_(settings), overridden_(settings, how.settings_file), rereads_(!how.settings_file.empty()) {
    take_over_from_one_process(known_, *journal_);
  }

  /// Serves workers until there is to be no other: the exit status.
  pci::result<int> run(const worker_starter& workers, running_worker worker, int signals) {
    for (;;) {
      const auto end = serve(workers, std::move(worker), signals);
      if (!end) {
        return tl::unexpected(end.error());
      }
      if (!WIFSIGNALED(end->status)) {
        return WEXITSTATUS(end->status);
      }
      if (const auto status = before_restart(*end, signals)) {
        return *status;
      }
      auto next = start_worker(workers);
      if (!next) {
        return tl::unexpected(next.error());
      }
      worker = std::move(*next);
      have_settings_read(worker);
    }
  }

private:
  /// Until the worker has ended, and what it had asked for is done: the next one begins after that.
  pci::result<worker_end> serve(const worker_starter& workers, running_worker worker, int signals) {
    const remote::server serving{surroundings_of(worker.process), std::move(worker.mine.requests),
                                 std::move(worker.mine.events)};
    return wait_for(workers, signals, worker.mine.signals.get());
  }

  /// Empty: another worker is to be started.
  std::optional<int> before_restart(const worker_end& end, int signals) {
    const auto how = fmt::format("the process that serves the guests was ended by signal {}", WTERMSIG(end.status));
    if (end.asked) {
      spdlog::error("{} before it had ended by itself", how);
      return EXIT_FAILURE;
    }
    const auto pause = again_.next(
        std::chrono::duration_cast<restarts::duration>(std::chrono::steady_clock::now().time_since_epoch()));
    if (!pause) {
      spdlog::critical("{}, {} times in a short time: the daemon ends, to be started anew as a whole", how,
                       restarts::most + 1);
      return EXIT_FAILURE;
    }
    spdlog::error("{}; it is started again ({} of {})", how, again_.count(), restarts::most);
    return wait_before_restart(*pause, signals) ? std::nullopt : std::optional<int>{EXIT_SUCCESS};
  }

  /// A worker begins with the settings of the daemon's start; since then they may have been read again.
  void have_settings_read(const running_worker& worker) const {
    signalfd_siginfo what{};
    what.ssi_signo = SIGHUP;
    if (rereads_) {
      [[maybe_unused]] const auto written = ::write(worker.mine.signals.get(), &what, sizeof what);
    }
  }

  remote::server::surroundings surroundings_of(pid_t worker) {
    return {.where = *opened_.where,
            .hands = *opened_.hands,
            .known = known_,
            .journal = journal_,
            .open_words = [this] { return journal_->open_lasting(); },
            .overrides_boot = [this](const pci::identity& what) { return overridden_.is(what); },
            .notify = notify_service_manager,
            .replace_metrics = [this](const std::string& text) -> pci::result<void> {
              if (settings_.metrics_file.empty()) {
                return pci::fail(ENOENT, "the settings name no file for the metrics");
              }
              return replace_file(settings_.metrics_file, text);
            },
            .remove_metrics =
                [this] {
                  if (!settings_.metrics_file.empty()) {
                    remove_file(settings_.metrics_file);
                  }
                },
            .threads = [worker] { return times_of(worker); },
            .read_settings = [this] { return overridden_.read_again(); },
            .refused = [this](const std::string& why) { refused_.tell(why); }};
  }

  opened_host opened_;
  std::shared_ptr<directory_records> journal_;
  remote::holdings known_;
  const config::settings& settings_;
  overridden_boot overridden_;
  const bool rereads_;
  refusals refused_;
  restarts again_;
};

} // namespace

pci::result<running_worker> start_worker(const worker_starter& workers) {
  return make_ends().and_then([&](std::pair<process_ends, process_ends>&& both) {
    return workers.start(both.second).map([&](pid_t process) {
      return running_worker{std::move(both.first), process};
    });
  });
}

pci::result<int> be_host_process(const worker_starter& workers, running_worker first, const config::settings& settings,
                                 int signals, const processes& how) {
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
  host_process all{std::move(*opened), std::move(*journal), std::move(*own), settings, how};
  return all.run(workers, std::move(first), signals);
}

} // namespace daemon_program
