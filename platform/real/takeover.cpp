// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <span>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

#include "platform/linux/config_port.hpp"
#include "platform/real/hands.hpp"

extern "C" {
#include <xen/xen.h>

#include <xen/evtchn.h>
}

namespace platform {
namespace {

constexpr std::size_t page_size = 4096;

/// As xen::event_channels has it, but on a descriptor that was bound by another process.
class handed_channel final : public event_channel {
public:
  explicit handed_channel(remote::handed what)
      : file_(std::move(what.file)), local_(static_cast<std::uint32_t>(what.numbers.first)),
        waker_(static_cast<std::uint32_t>(what.numbers.second)) {}

  pci::result<bool> wait() override {
    std::array<std::uint32_t, 4> fired{}; // there are three ports on this descriptor
    while (!woken_.exchange(false)) {
      const auto bytes = ::read(file_.get(), fired.data(), sizeof fired);
      if (bytes < 0 && errno != EINTR)
        return pci::fail(errno, "event channels: cannot read the ports that fired");
      const auto ports = std::span(fired).first(bytes < 0 ? 0 : static_cast<std::size_t>(bytes) / sizeof fired[0]);
      for (const auto port : ports)
        if (port != local_)
          let_fire(port); // so that it can wake again
      if (std::ranges::find(ports, local_) != ports.end())
        return true;
    }
    return false;
  }

  void wake() override {
    woken_ = true;
    static_cast<void>(send(waker_));
  }

  void unmask() override { let_fire(local_); }

  pci::result<void> notify() override {
    if (!send(local_))
      return pci::fail(errno, fmt::format("event channels: cannot notify through port {}", local_));
    return {};
  }

  // What can fail here is a port that is not bound: there is nothing left to undo.
  void unbind() override {
    ioctl_evtchn_unbind which{.port = local_};
    static_cast<void>(::ioctl(file_.get(), IOCTL_EVTCHN_UNBIND, &which));
    wake();
  }

private:
  [[nodiscard]] bool send(std::uint32_t port) const {
    ioctl_evtchn_notify which{.port = port};
    return ::ioctl(file_.get(), IOCTL_EVTCHN_NOTIFY, &which) == 0;
  }
  void let_fire(std::uint32_t port) const {
    [[maybe_unused]] const auto written = ::write(file_.get(), &port, sizeof port);
  }

  platform::descriptor file_;
  std::uint32_t local_;
  std::uint32_t waker_; ///< its other end is on the same descriptor
  std::atomic<bool> woken_{false};
};

/// The mapping ends with the memory's and the file's end.
class handed_page final : public mapped_page {
public:
  handed_page(platform::descriptor file, void* address) : file_(std::move(file)), address_(address) {}
  handed_page(const handed_page&) = delete;
  handed_page& operator=(const handed_page&) = delete;
  ~handed_page() override { ::munmap(address_, page_size); }
  [[nodiscard]] void* address() const override { return address_; }

private:
  platform::descriptor file_;
  void* address_;
};

} // namespace

pci::result<std::unique_ptr<event_channel>> real_takeover::channel(remote::handed what) {
  return std::make_unique<handed_channel>(std::move(what));
}

pci::result<std::unique_ptr<mapped_page>> real_takeover::page(remote::handed what) {
  void* address = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, what.file.get(),
                         static_cast<off_t>(what.numbers.first));
  if (address == MAP_FAILED)
    return pci::fail(errno, "grants: cannot map a guest's page");
  return std::make_unique<handed_page>(std::move(what.file), address);
}

pci::result<std::unique_ptr<pci::config_port>> real_takeover::config(remote::handed what, const std::string& name) {
  return std::make_unique<linux_host::config_port>(std::move(what.file), name);
}

} // namespace platform
