// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pci/protocol/guard_messages.hpp"
#include "pci/protocol/removal_guard.hpp"
#include "platform/descriptor.hpp"
#include "platform/linux/blocked_reads.hpp"

namespace platform::linux_host {

/// A listening socket for packets at `path`, mode 0600. EADDRINUSE: a keeper answers there already.
[[nodiscard]] pci::result<descriptor> listen_for_guards(const std::string& path);
/// A connection to the keeper there. ECONNREFUSED, ENOENT: there is none.
[[nodiscard]] pci::result<descriptor> connect_to_guards(const std::string& path);

/// Keeps the removal guards, in a process of its own that does nothing else, so that they outlive the daemon: serves
/// connections, and does what pci::removal_guard says with reads of the functions' files. One thread. Descriptors that
/// must outlive the daemon as well are left with it.
class guard_keeper {
public:
  struct options {
    std::string proc = "/proc/bus/pci";
    std::chrono::milliseconds limit = pci::removal_guard::default_limit;
    std::chrono::milliseconds interval{1000}; ///< between two looks
    bool until_idle = false;                  ///< ends when nobody is connected and nothing is guarded
  };
  guard_keeper(descriptor listening, blocked_reads& reads, options wanted);

  /// Serves until `stop` is readable, or until idle.
  [[nodiscard]] pci::result<void> run(int stop);

  /// Where the kernel has the function's file. Source: drivers/pci/proc.c, pci_proc_attach_device.
  [[nodiscard]] static std::string file_of(const std::string& proc, const pci::sbdf& address);

private:
  using clock = std::chrono::steady_clock;
  struct connection {
    descriptor socket;
    bool watches = false;
    bool suspending = false;      ///< waits for `suspended`
    std::vector<pci::sbdf> asked; ///< for what it has not been answered yet
  };
  struct entry {
    pci::removal_guard guard;
    std::size_t slot = 0;
  };

  void accept();
  /// False: the connection has ended.
  [[nodiscard]] bool serve(connection& from);
  void answer(connection& from, const pci::guard_request& asked, descriptor attached);
  void keep(connection& from, const pci::sbdf& address, descriptor attached);
  void give(connection& to, const pci::sbdf& address);
  void arm(connection& from, const pci::sbdf& address);
  void list(connection& to);
  void suspend(connection& from);
  void resume();
  void apply(const pci::sbdf& address, const pci::removal_guard::outcome& what);
  void tell(const pci::guard_news& news);
  static void send(connection& to, const pci::guard_news& news, int attached = -1);
  void read_told(std::size_t slot, bool waits, int error);
  void look_at_all();
  void settle_suspension();
  void forget_idle();
  [[nodiscard]] std::optional<std::size_t> free_slot() const;
  [[nodiscard]] bool idle() const {
    return wanted_.until_idle && served_ && connections_.empty() && guards_.empty() && kept_.empty();
  }
  [[nodiscard]] int patience() const;

  descriptor listening_;
  blocked_reads& reads_;
  options wanted_;
  std::vector<connection> connections_;
  std::map<pci::sbdf, entry> guards_;
  std::map<pci::sbdf, descriptor> kept_;
  clock::time_point watched_;                  ///< when somebody watched for the last time
  clock::time_point look_closely_until_{};     ///< a driver was unbound just now
  std::optional<clock::time_point> resume_at_; ///< suspended until then at the latest
  bool served_ = false;
};

} // namespace platform::linux_host
