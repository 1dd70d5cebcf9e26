// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "platform/event_channels.hpp"

namespace platform::xen {

/// Event channels through /dev/xen/evtchn: a descriptor for each, so that each has a thread that waits in its read.
class event_channels final : public platform::event_channels {
public:
  /// ENOENT: no /dev/xen/evtchn. EACCES: not root.
  [[nodiscard]] static pci::result<std::unique_ptr<event_channels>> open();

  [[nodiscard]] pci::result<std::unique_ptr<event_channel>> bind_interdomain(domain_id domain,
                                                                             std::uint32_t remote) override;
};

} // namespace platform::xen
