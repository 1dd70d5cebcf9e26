// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/uevents.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <linux/netlink.h>
#include <sys/socket.h>

namespace platform::linux_host {
namespace {

constexpr unsigned kernel_group = 1;      // 2 is udev's
constexpr int buffer_size = 1024 * 1024;  // a bus with hundreds of functions may go at once
constexpr std::size_t packet_size = 8192; // the kernel's own limit is 2 KiB of keys and a path

/// Whether the packet is the kernel's: any process may send to the socket.
bool from_kernel(const sockaddr_nl& sender) { return sender.nl_family == AF_NETLINK && sender.nl_pid == 0; }

std::string_view next_string(std::string_view& packet) {
  const auto string = packet.substr(0, packet.find('\0'));
  packet.remove_prefix(std::min(packet.size(), string.size() + 1));
  return string;
}

struct keys {
  std::string_view action, subsystem, slot, error;
};

keys read_keys(std::string_view packet) {
  keys found;
  const std::array<std::pair<std::string_view, std::string_view*>, 4> wanted{{{"ACTION=", &found.action},
                                                                              {"SUBSYSTEM=", &found.subsystem},
                                                                              {"PCI_SLOT_NAME=", &found.slot},
                                                                              {"ERROR_EVENT=", &found.error}}};
  while (!packet.empty()) {
    const auto string = next_string(packet);
    for (const auto& [key, value] : wanted)
      if (string.starts_with(key))
        *value = string.substr(key.size());
  }
  return found;
}

/// drivers/pci/pci-driver.c, pci_uevent_ers.
std::optional<uevent::action> action_of(const keys& found) {
  if (found.action == "add")
    return uevent::action::add;
  if (found.action == "remove")
    return uevent::action::remove;
  if (found.action == "bind")
    return uevent::action::bind;
  if (found.action == "unbind")
    return uevent::action::unbind;
  if (found.action != "change")
    return std::nullopt;
  if (found.error == "FAILED_RECOVERY" || found.error == "SUCCESSFUL_RECOVERY")
    return uevent::action::recovery_ended;
  return std::nullopt;
}

} // namespace

std::optional<uevent> parse_uevent(std::string_view packet) {
  const auto found = read_keys(packet);
  const auto action = action_of(found);
  const auto address = pci::parse_sbdf(found.slot);
  if (found.subsystem != "pci" || !action || !address)
    return std::nullopt;
  return uevent{*action, *address};
}

pci::result<std::unique_ptr<uevents>> uevents::open() {
  platform::descriptor socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)};
  if (!socket)
    return pci::fail(errno, "cannot open a socket for the kernel's device events");
  // Larger than net.core.rmem_max allows, where that is permitted; otherwise the default has to do.
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kernel_group;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return pci::fail(errno, "cannot receive the kernel's device events");
  return std::unique_ptr<uevents>(new uevents(std::move(socket)));
}

bool uevents::drain(const std::function<void(const uevent& event)>& deliver) {
  std::array<char, packet_size> packet;
  bool whole = true;
  for (;;) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof sender;
    const ssize_t size =
        ::recvfrom(socket_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (size < 0 && errno == ENOBUFS) {
      whole = false; // the rest still waits
      continue;
    }
    if (size < 0)
      return whole;
    if (!from_kernel(sender))
      continue;
    if (const auto event = parse_uevent({packet.data(), static_cast<std::size_t>(size)}))
      deliver(*event);
  }
}

} // namespace platform::linux_host
