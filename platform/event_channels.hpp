#pragma once

#include <cstdint>

#include "pci/result.hpp"

namespace platform {

using port = std::uint32_t; ///< a local event-channel port
using domain_id = std::uint16_t;

/// Event channels. A port that fired is masked until `unmask`; what is raised meanwhile comes as one event after it.
/// Events go to the `event_sink` that the host was started with. All calls are quick and safe from any thread.
class event_channels {
public:
  event_channels() = default;
  event_channels(const event_channels&) = delete;
  event_channels& operator=(const event_channels&) = delete;
  virtual ~event_channels() = default;

  /// Binds the guest's unbound port. The local port fires once at once. EINVAL: no such port, or it is not for this
  /// domain.
  [[nodiscard]] virtual pci::result<port> bind_interdomain(domain_id domain, std::uint32_t remote) = 0;
  virtual void unbind(port local) = 0;
  [[nodiscard]] virtual pci::result<void> notify(port local) = 0;
  virtual void unmask(port local) = 0;
};

} // namespace platform
