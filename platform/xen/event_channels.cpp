// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/event_channels.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <span>

#include <unistd.h>

#include <fmt/format.h>

#include "platform/xen/quiet.hpp"

extern "C" {
#include <xenevtchn.h>
}

namespace platform::xen {
namespace {

struct close {
  void operator()(xenevtchn_handle* channels) const { xenevtchn_close(channels); }
};
using handle = std::unique_ptr<xenevtchn_handle, close>;

pci::result<handle> open_handle() {
  handle opened{xenevtchn_open(quiet(), 0)};
  if (!opened)
    return pci::fail(errno, "event channels: cannot open /dev/xen/evtchn");
  return opened;
}

class channel final : public event_channel {
public:
  explicit channel(handle channels) : channels_(std::move(channels)) {}

  pci::result<void> bind(domain_id domain, std::uint32_t remote) {
    const auto own = xenevtchn_bind_unbound_port(channels_.get(), 0);
    if (own < 0)
      return pci::fail(errno, "event channels: cannot make a port for waking up");
    const auto waker = xenevtchn_bind_interdomain(channels_.get(), 0, static_cast<evtchn_port_t>(own));
    if (waker < 0)
      return pci::fail(errno, "event channels: cannot bind the port for waking up");
    waker_ = static_cast<evtchn_port_t>(waker);
    const auto local = xenevtchn_bind_interdomain(channels_.get(), domain, remote);
    if (local < 0)
      return pci::fail(errno, fmt::format("event channels: cannot bind port {} of domain {}", remote, domain));
    local_ = static_cast<evtchn_port_t>(local);
    return {};
  }

  pci::result<bool> wait() override {
    std::array<evtchn_port_t, 4> fired{}; // there are three ports on this descriptor
    while (!woken_.exchange(false)) {
      const auto bytes = ::read(xenevtchn_fd(channels_.get()), fired.data(), sizeof fired);
      if (bytes < 0 && errno != EINTR)
        return pci::fail(errno, "event channels: cannot read the ports that fired");
      const auto ports = std::span(fired).first(bytes < 0 ? 0 : static_cast<std::size_t>(bytes) / sizeof fired[0]);
      for (const auto port : ports)
        if (port != local_)
          xenevtchn_unmask(channels_.get(), port); // so that it can wake again
      if (std::ranges::find(ports, local_) != ports.end())
        return true;
    }
    return false;
  }

  void wake() override {
    woken_ = true;
    xenevtchn_notify(channels_.get(), waker_);
  }

  void unmask() override { xenevtchn_unmask(channels_.get(), local_); }

  pci::result<void> notify() override {
    if (xenevtchn_notify(channels_.get(), local_) != 0)
      return pci::fail(errno, fmt::format("event channels: cannot notify through port {}", local_));
    return {};
  }

  // What can fail here is a port that is not bound: there is nothing left to undo.
  void unbind() override {
    xenevtchn_unbind(channels_.get(), local_);
    wake();
  }

private:
  handle channels_;
  evtchn_port_t local_ = 0;
  evtchn_port_t waker_ = 0; ///< its other end is on the same descriptor
  std::atomic<bool> woken_{false};
};

} // namespace

pci::result<std::unique_ptr<event_channels>> event_channels::open() {
  return open_handle().map([](const handle&) { return std::make_unique<event_channels>(); });
}

pci::result<std::unique_ptr<event_channel>> event_channels::bind_interdomain(domain_id domain, std::uint32_t remote) {
  return open_handle().and_then([&](handle&& opened) -> pci::result<std::unique_ptr<event_channel>> {
    auto made = std::make_unique<channel>(std::move(opened));
    if (auto bound = made->bind(domain, remote); !bound)
      return tl::unexpected(bound.error());
    return made;
  });
}

} // namespace platform::xen
