#pragma once

#include <memory>
#include <span>

#include "platform/event_channels.hpp"

struct xenevtchn_handle;

namespace platform::xen {

/// Event channels through /dev/xen/evtchn: one descriptor for all ports, with one reader. The kernel allows the other
/// calls from any thread beside it.
class event_channels final : public platform::event_channels {
public:
  /// ENOENT: no /dev/xen/evtchn. EACCES: not root.
  [[nodiscard]] static pci::result<std::unique_ptr<event_channels>> open();

  [[nodiscard]] pci::result<port> bind_interdomain(domain_id domain, std::uint32_t remote) override;
  void unbind(port local) override;
  [[nodiscard]] pci::result<void> notify(port local) override;
  void unmask(port local) override;

  /// Waits for ports to fire and takes them, as many as fit into `ports`, in one system call. Returns how many; 0 after
  /// a signal. EFBIG: the kernel's ring ran over, and events are lost.
  [[nodiscard]] pci::result<std::size_t> read(std::span<port> ports);

  /// Ends a `read` that waits: a port of its own fires.
  void wake();

private:
  struct close {
    void operator()(xenevtchn_handle* channels) const;
  };
  explicit event_channels(std::unique_ptr<xenevtchn_handle, close> channels);

  std::unique_ptr<xenevtchn_handle, close> channels_;
  port waker_ = 0; ///< bound to a port of this same process
};

} // namespace platform::xen
