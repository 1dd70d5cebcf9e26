#include "platform/xen/event_channels.hpp"

#include <cerrno>

#include <unistd.h>

#include <fmt/format.h>

#include "platform/xen/quiet.hpp"

extern "C" {
#include <xenevtchn.h>
}

namespace platform::xen {

static_assert(sizeof(port) == sizeof(evtchn_port_t));

void event_channels::close::operator()(xenevtchn_handle* channels) const { xenevtchn_close(channels); }

event_channels::event_channels(std::unique_ptr<xenevtchn_handle, close> channels) : channels_(std::move(channels)) {}

pci::result<std::unique_ptr<event_channels>> event_channels::open() {
  std::unique_ptr<xenevtchn_handle, close> channels{xenevtchn_open(quiet(), 0)};
  if (!channels)
    return pci::fail(errno, "event channels: cannot open /dev/xen/evtchn");
  std::unique_ptr<event_channels> opened(new event_channels(std::move(channels)));
  const auto own = xenevtchn_bind_unbound_port(opened->channels_.get(), 0);
  if (own < 0)
    return pci::fail(errno, "event channels: cannot make a port to be woken by");
  return opened->bind_interdomain(0, static_cast<port>(own)).map([&](port waker) {
    opened->waker_ = waker;
    return std::move(opened);
  });
}

pci::result<port> event_channels::bind_interdomain(domain_id domain, std::uint32_t remote) {
  const auto local = xenevtchn_bind_interdomain(channels_.get(), domain, remote);
  if (local < 0)
    return pci::fail(errno, fmt::format("event channels: cannot bind port {} of domain {}", remote, domain));
  return static_cast<port>(local);
}

// What can fail here is a port that is not bound: there is nothing left to undo.
void event_channels::unbind(port local) { xenevtchn_unbind(channels_.get(), local); }

pci::result<void> event_channels::notify(port local) {
  if (xenevtchn_notify(channels_.get(), local) != 0)
    return pci::fail(errno, fmt::format("event channels: cannot notify through port {}", local));
  return {};
}

void event_channels::unmask(port local) { xenevtchn_unmask(channels_.get(), local); }

void event_channels::wake() { xenevtchn_notify(channels_.get(), waker_); }

pci::result<std::size_t> event_channels::read(std::span<port> ports) {
  // The library's own call takes one port a system call.
  const ssize_t bytes = ::read(xenevtchn_fd(channels_.get()), ports.data(), ports.size_bytes());
  if (bytes >= 0)
    return static_cast<std::size_t>(bytes) / sizeof(port);
  if (errno == EINTR)
    return 0;
  return pci::fail(errno, "event channels: cannot read the ports that fired");
}

} // namespace platform::xen
