// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/two_processes.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "platform/remote/sandbox.hpp"
#include "tools/pcibackd/host_process.hpp"
#include "tools/pcibackd/worker_starter.hpp"

namespace daemon_program {
namespace {

namespace remote = platform::remote;

[[noreturn]] void be_worker(process_ends mine, const remote::worker_user& user, const processes& how) {
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

} // namespace

pci::result<int> run_two_processes(const config::settings& settings, int signals, processes how) {
  const auto user = remote::find_worker_user();
  const auto body = [&](process_ends mine) { be_worker(std::move(mine), user, how); };
  std::vector<int> closed;
  for (const auto each : {signals, how.lock}) {
    if (each >= 0) {
      closed.push_back(each);
    }
  }
  const auto workers = worker_starter::make(body, closed);
  if (!workers) {
    return tl::unexpected(workers.error());
  }
  // It begins while the host is opened, and waits for that.
  auto first = start_worker(*workers);
  if (!first) {
    return tl::unexpected(first.error());
  }
  return be_host_process(*workers, std::move(*first), settings, signals, how);
}

void forget_held(const config::settings& settings) {
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path{settings.runtime} / held_directory, ignored);
}

pci::result<void> run_worker(remote::remote_host& host, const config::settings& settings, control_socket& socket,
                             int signals, std::chrono::microseconds watchdog) {
  outside world;
  world.watchdog = watchdog;
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
