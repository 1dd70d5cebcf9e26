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
#include "platform/linux/descriptor.hpp"
#include "platform/removal_guards.hpp"

namespace platform::linux_host {

/// The daemon's side of the removal guards: a connection to their keeper, which is started when nobody answers, and
/// asked again for all that is wanted when it was lost.
class guard_client final : public platform::removal_guards {
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

  void run();
  [[nodiscard]] bool connect();
  void start_keeper();
  void reap_keeper();
  void lose(const std::string& why);
  /// False: the connection is of no use any more.
  [[nodiscard]] bool receive();
  void take(const pci::guard_news& news);
  [[nodiscard]] bool ask(pci::guard_request::verb what, const pci::sbdf& address);
  [[nodiscard]] pci::failure refusal(const pci::sbdf& address, const entry& one) const;

  options wanted_;
  mutable std::mutex mutex_; ///< of all below
  std::condition_variable heard_;
  descriptor socket_;
  std::string obstacle_;
  bool listed_ = false;
  std::map<pci::sbdf, entry> guards_;
  std::mutex listener_mutex_; ///< held while it is called
  listener listener_;
  pid_t keeper_ = 0; ///< that was started from here
  descriptor stop_;
  std::thread thread_;
};

} // namespace platform::linux_host
