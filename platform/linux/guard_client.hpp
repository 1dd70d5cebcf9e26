// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "pci/protocol/guard_messages.hpp"
#include "platform/linux/descriptor_keeper.hpp"
#include "platform/removal_guards.hpp"

namespace platform::linux_host {

/// The daemon's side of the removal guards and of the descriptors that are left with their keeper: a connection to it,
/// which is started when nobody answers, and asked again for all that is wanted when it was lost.
class guard_client final : public platform::removal_guards, public descriptor_keeper {
public:
  struct options {
    std::string socket = "/run/pcibackd/guard";
    std::string program;                      ///< the keeper's, for when nobody answers; empty: it is not started
    std::chrono::milliseconds patience{3000}; ///< for an answer
    std::chrono::milliseconds retry{1000};    ///< between two attempts to connect
  };
  using listener = std::function<void(const pci::sbdf& address)>;

  /// Tries to connect, and asks what is guarded, before it returns. Without success it goes on trying.
  explicit guard_client(options wanted);
  guard_client(const guard_client&) = delete;
  guard_client& operator=(const guard_client&) = delete;
  ~guard_client() override;

  [[nodiscard]] pci::result<void> arm(const pci::sbdf& address) override;
  void release(const pci::sbdf& address) override;
  void look(const pci::sbdf& address) override;
  [[nodiscard]] pci::guard_state state(const pci::sbdf& address) const override;
  [[nodiscard]] std::vector<pci::sbdf> guarded() const override;

  void keep(const pci::sbdf& address, int descriptor) override;
  [[nodiscard]] descriptor take(const pci::sbdf& address) override;
  void drop(const pci::sbdf& address) override;

  /// Calls `whom` for each removal that waits, from a thread of its own; those that wait already at once. Empty: no
  /// more, and when this returns it is not called any more.
  void listen(listener whom);
  /// Why there is no connection; empty: there is one.
  [[nodiscard]] std::string obstacle() const;

  /// Where the keeper's program is: beside the one that runs.
  [[nodiscard]] static std::string default_program();

private:
  struct entry {
    pci::guard_state state = pci::guard_state::none;
    bool wanted = false;
    unsigned answers = 0; ///< counts what was heard of it
    int error = 0;        ///< why it is unguarded
  };

  struct left {
    descriptor mine;  ///< the same file, for a keeper that comes after this one
    descriptor given; ///< by the keeper, for who has asked
    unsigned answers = 0;
  };

  void run();
  [[nodiscard]] bool connect();
  void start_keeper();
  void reap_keeper();
  void lose(const std::string& why);
  /// False: the connection is of no use any more.
  [[nodiscard]] bool receive();
  void hear(const pci::guard_news& news, descriptor attached);
  void hear_of_descriptor(const pci::guard_news& news, descriptor attached);
  [[nodiscard]] bool ask(pci::guard_request::verb what, const pci::sbdf& address, int attached = -1);
  void ask_and_wait(std::unique_lock<std::mutex>& lock, pci::guard_request::verb what, const pci::sbdf& address,
                    int attached = -1);
  [[nodiscard]] pci::failure refusal(const pci::sbdf& address, const entry& one) const;

  options wanted_;
  mutable std::mutex mutex_; ///< of all below
  std::condition_variable heard_;
  descriptor socket_;
  std::string obstacle_;
  bool listed_ = false;
  std::map<pci::sbdf, entry> guards_;
  std::map<pci::sbdf, left> left_;
  std::mutex listener_mutex_; ///< held while it is called
  listener listener_;
  pid_t keeper_ = 0; ///< that was started from here
  descriptor stop_;
  std::thread thread_;
};

} // namespace platform::linux_host
