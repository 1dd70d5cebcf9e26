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

  /// Readable while ports have fired.
  [[nodiscard]] int descriptor() const;
  /// Takes the ports that fired, as many as fit into `ports`, in one system call that does not block. Returns how many.
  /// EFBIG: the kernel's ring ran over, and events are lost.
  [[nodiscard]] pci::result<std::size_t> read(std::span<port> ports);

private:
  struct close {
    void operator()(xenevtchn_handle* channels) const;
  };
  explicit event_channels(std::unique_ptr<xenevtchn_handle, close> channels);

  std::unique_ptr<xenevtchn_handle, close> channels_;
};

} // namespace platform::xen
