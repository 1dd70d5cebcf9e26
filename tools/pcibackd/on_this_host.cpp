// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/on_this_host.hpp"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "platform/linux/clock.hpp"
#include "platform/linux/directory_records.hpp"
#include "platform/real/hands.hpp"
#include "platform/real/host.hpp"
#include "tools/pcibackd/break_out.hpp"
#include "tools/pcibackd/instance_lock.hpp"
#include "tools/pcibackd/two_processes.hpp"

namespace daemon_program {
namespace {

pci::result<std::unique_ptr<platform::real_host>> open_real() {
  auto host = platform::real_host::open();
  for (const auto& warning : host ? (*host)->warnings() : std::vector<std::string>{}) {
    spdlog::warn("{}", warning);
  }
  return host;
}

pci::result<void> run_in_one_process(const config::settings& settings, control_socket& socket, int signals) {
  auto host = open_real();
  if (!host) {
    return tl::unexpected(host.error());
  }
  auto journal = platform::linux_host::directory_records::open(std::filesystem::path(settings.runtime) / "journal");
  if (!journal) {
    return tl::unexpected(journal.error());
  }
  forget_held(settings); // the next two processes learn what is held from the journal
  outside world;
  world.watchdog = service_watchdog();
  return run_daemon(**host, settings, socket, signals, {}, {}, *journal, {}, world);
}

// What `work` is asked to do is done in the process without rights.
pci::result<int>
run_in_two_processes(const config::settings& settings, const std::string& file, int signals, int lock,
                     const std::function<pci::result<void>(platform::remote::remote_host&, int)>& work) {
  platform::real_takeover hands;
  const platform::linux_host::clock time;
  const auto open = []() -> pci::result<opened_host> {
    auto host = open_real();
    if (!host) {
      return tl::unexpected(std::move(host.error()));
    }
    auto handover = std::make_unique<platform::real_handover>((*host)->files());
    return opened_host{std::move(*host), std::move(handover)};
  };
  return run_two_processes(settings, signals, {open, work, hands, time, lock, file});
}

pci::result<void> print_attempts(platform::remote::remote_host& host) {
  std::size_t possible = 0;
  for (const auto& each : try_to_break_out(host)) {
    std::cout << (each.refused ? "refused: " : "NOT REFUSED: ") << each.what << " (" << each.answer << ")\n";
    possible += each.refused ? 0 : 1;
  }
  std::cout << std::flush;
  return possible == 0 ? pci::result<void>{} : pci::fail(EACCES, fmt::format("{} of these are possible", possible));
}

} // namespace

pci::result<int> run_on_this_host(const config::settings& settings, control_socket& socket, int signals,
                                  bool one_process, const std::string& file) {
  const auto lock = patiently([] { return lock_instance(instance_lock_path); });
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  if (one_process) {
    return run_in_one_process(settings, socket, signals).map([] { return EXIT_SUCCESS; });
  }
  const auto watchdog = service_watchdog(); // it asks for the host process
  return run_in_two_processes(settings, file, signals, lock->get(), [&](platform::remote::remote_host& host, int ends) {
    return run_worker(host, settings, socket, ends, watchdog);
  });
}

pci::result<int> check_sandbox(const config::settings& settings, int signals) {
  const auto lock = lock_instance(instance_lock_path);
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  return run_in_two_processes(
      settings, {}, signals, lock->get(),
      [](platform::remote::remote_host& host, int /*signals*/) { return print_attempts(host); });
}

} // namespace daemon_program
