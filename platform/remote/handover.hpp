// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>

#include "pci/config_space/port.hpp"
#include "platform/event_channels.hpp"
#include "platform/grants.hpp"
#include "platform/remote/packets.hpp"
#include "platform/remote/values.hpp"

namespace platform::remote {

/// What the worker uses by itself, without asking: an open file with the numbers that belong to it.
struct handed {
  descriptor file;
  handed_numbers numbers;
};

/// The host process's half: opens what is handed to the worker. Safe from any thread.
class handover {
public:
  handover() = default;
  handover(const handover&) = delete;
  handover& operator=(const handover&) = delete;
  virtual ~handover() = default;

  /// Binds the guest's unbound port on a descriptor of its own; errors as `event_channels::bind_interdomain`.
  [[nodiscard]] virtual pci::result<handed> channel(domain_id domain, std::uint32_t remote) = 0;
  /// A descriptor on which one page of the guest, and no other, can be mapped.
  [[nodiscard]] virtual pci::result<handed> page(domain_id domain, std::uint32_t reference) = 0;
  [[nodiscard]] virtual pci::result<handed> config(const pci::sbdf& address, bool writable) = 0;
};

/// The worker's half: makes of what it got what the actors use. Safe from any thread.
class takeover {
public:
  takeover() = default;
  takeover(const takeover&) = delete;
  takeover& operator=(const takeover&) = delete;
  virtual ~takeover() = default;

  [[nodiscard]] virtual pci::result<std::unique_ptr<event_channel>> channel(handed what) = 0;
  /// Errors as `grants::map`.
  [[nodiscard]] virtual pci::result<std::unique_ptr<mapped_page>> page(handed what) = 0;
  [[nodiscard]] virtual pci::result<std::unique_ptr<pci::config_port>> config(handed what, const std::string& name) = 0;
};

} // namespace platform::remote
