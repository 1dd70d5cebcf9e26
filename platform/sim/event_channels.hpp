// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <shared_mutex>

#include "platform/event_channels.hpp"
#include "platform/sim/doorbell.hpp"

namespace platform::sim {

/// Xen's event channels between dom0 and the guests, with the rules of Linux's /dev/xen/evtchn on dom0's side. As in
/// Xen, an event on one channel does not wait for those on others, however many they are.
class event_channels final : public platform::event_channels {
public:
  /// `blocking`: whoever waits for a channel that has not fired sleeps. Otherwise, where everything runs in one thread,
  /// a wait that nothing has ended yet is as if it had been woken.
  explicit event_channels(bool blocking) : blocking_(blocking) {}

  // dom0's side
  pci::result<std::unique_ptr<event_channel>> bind_interdomain(domain_id domain, std::uint32_t remote) override;

  // The guests' side
  void add_domain(domain_id domain, std::shared_ptr<doorbell> bell);
  /// EVTCHNOP_alloc_unbound for `remote`. ESRCH: no such domain; ENOSPC: too many.
  [[nodiscard]] pci::result<std::uint32_t> allocate_unbound(domain_id domain, domain_id remote = 0);
  /// EVTCHNOP_send. Success also when the other end is closed; EINVAL: no such port.
  [[nodiscard]] pci::result<void> send(domain_id domain, std::uint32_t remote);
  void close(domain_id domain, std::uint32_t remote);
  /// The guest's pending bit of the port; empty: no such port.
  [[nodiscard]] std::shared_ptr<std::atomic<bool>> pending(domain_id domain, std::uint32_t remote) const;
  /// Closes all of the domain's channels: it dies.
  void remove_domain(domain_id domain);

  /// The daemon's process ends: its ports close, their peers can be bound again.
  void close_all_local();

  [[nodiscard]] std::size_t bound() const;
  /// How many events guests have been sent, on all channels.
  [[nodiscard]] std::uint64_t notified() const { return notified_; }

private:
  class channel;
  /// dom0's end.
  struct local_port {
    local_port(domain_id its_domain, std::uint32_t its_remote) : domain(its_domain), remote(its_remote) {}
    /// An event has come.
    void raise();
    void unmask();
    /// True when the channel has fired, once an event.
    [[nodiscard]] bool take();

    enum class state : std::uint8_t { open, fired, masked, masked_and_pending };
    const domain_id domain;
    const std::uint32_t remote;
    std::atomic<state> now = state::fired; ///< Xen marks a new port pending once
    std::atomic<bool> bound = true;
    std::atomic<bool> woken = false;
    doorbell bell; ///< of who waits
  };
  struct guest_port {
    domain_id remote_domain = 0;       ///< for whom it was allocated
    std::shared_ptr<local_port> local; ///< dom0's end; null: unbound
    std::shared_ptr<std::atomic<bool>> pending;
  };
  struct guest {
    std::shared_ptr<doorbell> bell;
    std::map<std::uint32_t, guest_port> ports;
    std::uint32_t next = 1;
  };

  const guest_port* find(domain_id domain, std::uint32_t remote) const;
  void unbind(const std::shared_ptr<local_port>& local);
  pci::result<void> notify(const local_port& local);

  static constexpr std::uint32_t ports_per_domain = 1024;
  bool blocking_;
  std::atomic<std::uint64_t> notified_{0};
  mutable std::shared_mutex mutex_; ///< shared: for events, which change a port's atomics alone
  std::map<domain_id, guest> guests_;
  std::set<std::shared_ptr<local_port>> locals_;
};

} // namespace platform::sim
