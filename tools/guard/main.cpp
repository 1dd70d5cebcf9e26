// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps the removal guards of functions that guests have (see platform/removal_guards.hpp), beside the daemon: a guard
// must not end with it. It has no thread but the readers, knows nothing of Xen, and needs no capability.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "platform/linux/guard_keeper.hpp"

namespace {

using namespace platform;
using pci::guard_news;
using pci::guard_request;

constexpr int usage_error = 2;
constexpr std::size_t most_guards = 1024; ///< pages, of which those that are never used cost nothing
constexpr int patience = 10'000;          ///< milliseconds, for the keeper's answer

int complain(const pci::failure& why) {
  std::cerr << "pcibackd-guard: " << pci::to_string(why) << '\n';
  return EXIT_FAILURE;
}

/// All signals are blocked, in every thread: a reader with one pending would take a whole processor.
pci::result<platform::descriptor> block_signals() {
  sigset_t all;
  sigset_t ending;
  ::sigfillset(&all);
  ::sigemptyset(&ending);
  for (const int each : {SIGTERM, SIGINT})
    ::sigaddset(&ending, each);
  platform::descriptor signals;
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) == 0)
    signals = platform::descriptor{::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!signals)
    return pci::fail(errno, "signals cannot be blocked");
  return signals;
}

int keep(const std::string& socket, const linux_host::guard_keeper::options& wanted) {
  const auto signals = block_signals();
  if (!signals)
    return complain(signals.error());
  auto reads = linux_host::userfault_reads::open(most_guards);
  if (!reads)
    return complain(reads.error());
  auto listening = linux_host::listen_for_guards(socket);
  if (!listening)
    return complain(listening.error());
  static_cast<void>(::sd_notify(0, "READY=1"));
  const auto done = linux_host::guard_keeper(std::move(*listening), **reads, wanted).run(signals->get());
  return done ? EXIT_SUCCESS : complain(done.error());
}

/// Asks the keeper, and prints what it says until it has answered.
pci::result<void> ask(const std::string& path, guard_request::verb what, guard_news::kind answer) {
  const auto socket = linux_host::connect_to_guards(path);
  if (!socket)
    return tl::unexpected(socket.error());
  const auto text = pci::to_text(guard_request{what, {}});
  if (::send(socket->get(), text.data(), text.size(), MSG_NOSIGNAL) < 0)
    return pci::fail(errno, "the keeper cannot be asked");
  for (pollfd ready{socket->get(), POLLIN, 0}; ::poll(&ready, 1, patience) > 0;) {
    std::array<char, pci::guard_packet_size + 1> packet;
    const auto size = ::recv(socket->get(), packet.data(), packet.size(), 0);
    const auto news = pci::parse_guard_news({packet.data(), static_cast<std::size_t>(size < 0 ? 0 : size)});
    if (!news)
      return tl::unexpected(news.error());
    if (news->what == answer)
      return {};
    std::cout << pci::to_text(*news) << '\n';
  }
  return pci::fail(ETIMEDOUT, "the keeper does not answer");
}

int parse_and_run(int count, char** words) {
  CLI::App app{"Holds removals of PCI functions that guests use up until pcibackd has ended their use.",
               "pcibackd-guard"};
  std::string socket = "/run/pcibackd/guard";
  linux_host::guard_keeper::options wanted;
  unsigned limit = static_cast<unsigned>(wanted.limit / std::chrono::seconds(1));
  bool suspend = false, resume = false, list = false;
  app.add_option("--socket", socket, "where pcibackd asks")->type_name("PATH");
  app.add_option("--limit", limit, "how long a removal waits at most while no pcibackd runs")->type_name("SECONDS");
  app.add_flag("--until-idle", wanted.until_idle, "end when nobody is connected and nothing is guarded");
  app.add_flag("--suspend", suspend, "dom0 is about to sleep: let go of all, for a guard cannot be frozen");
  app.add_flag("--resume", resume, "dom0 is awake again: guard again what was");
  app.add_flag("--list", list, "print what is guarded");
  app.set_version_flag("--version", "pcibackd-guard " PCIBACKD_VERSION);
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? EXIT_SUCCESS : usage_error;
  }
  pci::result<void> done;
  if (suspend)
    done = ask(socket, guard_request::verb::suspend, guard_news::kind::suspended);
  else if (resume)
    done = ask(socket, guard_request::verb::resume, guard_news::kind::resumed);
  else if (list)
    done = ask(socket, guard_request::verb::list, guard_news::kind::listed);
  else {
    wanted.limit = std::chrono::seconds(limit);
    return keep(socket, wanted);
  }
  return done ? EXIT_SUCCESS : complain(done.error());
}

} // namespace

int main(int count, char** words) {
  try {
    return parse_and_run(count, words);
  } catch (const std::exception& bug) {
    static_cast<void>(std::fputs(bug.what(), stderr));
  }
  static_cast<void>(std::fputs("; this is a bug\n", stderr));
  return EXIT_FAILURE;
}
