#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "platform/event_channels.hpp"
#include "platform/sim/delivery.hpp"
#include "platform/sim/doorbell.hpp"

namespace platform::sim {

/// Xen's event channels between dom0 and the guests, with the rules of Linux's /dev/xen/evtchn on dom0's side. As in
/// Xen, an event on one channel does not wait for those on others, however many they are.
class event_channels final : public platform::event_channels {
public:
  explicit event_channels(delivery& sink) : sink_(&sink) {}

  // dom0's side
  pci::result<port> bind_interdomain(domain_id domain, std::uint32_t remote) override;
  void unbind(port local) override;
  pci::result<void> notify(port local) override;
  void unmask(port local) override;

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
  /// Fires what came before the sink was there.
  void flush();

  [[nodiscard]] std::uint64_t notifies() const { return notifies_; }
  [[nodiscard]] std::size_t bound() const;

private:
  struct guest_port {
    domain_id remote_domain = 0; ///< for whom it was allocated
    port local = 0;              ///< dom0's end; 0: unbound
    std::shared_ptr<std::atomic<bool>> pending;
  };
  struct guest {
    std::shared_ptr<doorbell> bell;
    std::map<std::uint32_t, guest_port> ports;
    std::uint32_t next = 1;
  };
  enum class port_state : std::uint8_t { open, masked, masked_and_pending };
  struct local_port {
    local_port(domain_id its_domain, std::uint32_t its_remote) : domain(its_domain), remote(its_remote) {}
    /// An event has come. True when it is to be told now; while the port is masked it only pends.
    [[nodiscard]] bool raise();
    /// True when an event pended, which is to be told now: the port stays masked.
    [[nodiscard]] bool unmask();

    domain_id domain;
    std::uint32_t remote;                               ///< 0: the peer has closed
    std::atomic<port_state> state = port_state::masked; ///< Xen marks a new port pending once
    bool untold = false;                                ///< fired while there was no sink
  };

  void fire(port local);
  guest_port* find(domain_id domain, std::uint32_t remote);

  static constexpr std::uint32_t ports_per_domain = 1024;
  delivery* sink_;
  mutable std::shared_mutex mutex_; ///< shared: for events, which change a port's atomics alone
  std::map<domain_id, guest> guests_;
  std::map<port, local_port> locals_;
  port next_local_ = 40; ///< dom0 has many before
  std::atomic<std::uint64_t> notifies_{0};
};

} // namespace platform::sim
