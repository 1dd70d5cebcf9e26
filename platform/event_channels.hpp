// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>

#include "pci/result.hpp"

namespace platform {

using domain_id = std::uint16_t;

/// dom0's end of one guest's event channel, with a descriptor of its own: who waits for it waits for nobody else's.
/// A channel that fired is masked until `unmask`; what is raised meanwhile comes as one event after it. All calls but
/// `wait` are quick and safe from any thread; one thread waits. Destroying it unbinds it.
class event_channel {
public:
  event_channel() = default;
  event_channel(const event_channel&) = delete;
  event_channel& operator=(const event_channel&) = delete;
  virtual ~event_channel() = default;

  /// Waits until the channel fires, and leaves it masked. False: nothing fired, and `wake` ended the wait. Any failure
  /// is the end: nothing will come through this channel any more.
  [[nodiscard]] virtual pci::result<bool> wait() = 0;
  /// Ends a `wait`: the one that is under way, or the next.
  virtual void wake() = 0;
  virtual void unmask() = 0;
  /// Success also when the guest's end is closed. EINVAL: unbound.
  [[nodiscard]] virtual pci::result<void> notify() = 0;
  /// The guest's port is free to be bound again. What waits is woken.
  virtual void unbind() = 0;
};

/// Event channels between dom0 and guests. Safe from any thread.
class event_channels {
public:
  event_channels() = default;
  event_channels(const event_channels&) = delete;
  event_channels& operator=(const event_channels&) = delete;
  virtual ~event_channels() = default;

  /// Binds the guest's unbound port. The channel fires once at once. EINVAL: no such port, or it is not for this
  /// domain. EMFILE: no descriptor is left.
  [[nodiscard]] virtual pci::result<std::unique_ptr<event_channel>> bind_interdomain(domain_id domain,
                                                                                     std::uint32_t remote) = 0;
};

} // namespace platform
