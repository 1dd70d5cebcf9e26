// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/packets.hpp"

#include <array>
#include <cerrno>

#include <sys/socket.h>

#include "platform/local_packets.hpp"
#include "platform/remote/codec.hpp"

namespace platform::remote {

pci::result<std::pair<descriptor, descriptor>> make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return pci::fail(errno, "cannot make a pair of sockets");
  return std::pair{descriptor{ends[0]}, descriptor{ends[1]}};
}

packet_socket::packet_socket(descriptor socket)
    : socket_(std::move(socket)), room_(std::make_unique_for_overwrite<char[]>(largest_packet)) {}

pci::result<void> packet_socket::send(std::string_view packet, int attached) const {
  if (packet.size() > largest_packet)
    return pci::fail(EMSGSIZE, "a message between the processes is too long");
  const auto sent = send_packet(socket_.get(), packet, attached);
  if (sent != static_cast<ssize_t>(packet.size()))
    return pci::fail(sent < 0 ? errno : EIO, "cannot send to the other process");
  return {};
}

pci::result<std::string_view> packet_socket::receive(descriptor* attached) const {
  const auto [size, truncated] = receive_packet(socket_.get(), {room_.get(), largest_packet}, attached);
  if (size <= 0)
    return pci::fail(size < 0 ? errno : EPIPE, "cannot receive from the other process");
  if (truncated)
    return pci::fail(EMSGSIZE, "a message between the processes is too long");
  return std::string_view{room_.get(), static_cast<std::size_t>(size)};
}

void packet_socket::end() const { ::shutdown(socket_.get(), SHUT_RDWR); }

} // namespace platform::remote
