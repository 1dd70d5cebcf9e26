// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/packets.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "platform/remote/codec.hpp"

namespace platform::remote {
namespace {

/// Room for one descriptor; what comes beyond it the kernel closes.
struct descriptor_room {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))] = {};
};

descriptor taken_from(msghdr& message) {
  auto* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len < CMSG_LEN(sizeof(int)))
    return descriptor{};
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return descriptor{number};
}

} // namespace

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
  iovec content{const_cast<char*>(packet.data()), packet.size()}; // sendmsg does not write to it
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  descriptor_room room;
  if (attached >= 0) {
    message.msg_control = room.bytes;
    message.msg_controllen = sizeof room.bytes;
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof attached);
    std::memcpy(CMSG_DATA(header), &attached, sizeof attached);
  }
  ssize_t sent = -1;
  do
    sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent != static_cast<ssize_t>(packet.size()))
    return pci::fail(sent < 0 ? errno : EIO, "cannot send to the other process");
  return {};
}

pci::result<std::string_view> packet_socket::receive(descriptor* attached) const {
  iovec content{room_.get(), largest_packet};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  descriptor_room room;
  if (attached != nullptr) {
    message.msg_control = room.bytes;
    message.msg_controllen = sizeof room.bytes;
  }
  ssize_t size = -1;
  do
    size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (attached != nullptr)
    *attached = size > 0 ? taken_from(message) : descriptor{};
  if (size <= 0)
    return pci::fail(size < 0 ? errno : EPIPE, "cannot receive from the other process");
  if ((message.msg_flags & MSG_TRUNC) != 0)
    return pci::fail(EMSGSIZE, "a message between the processes is too long");
  return std::string_view{room_.get(), static_cast<std::size_t>(size)};
}

void packet_socket::end() const { ::shutdown(socket_.get(), SHUT_RDWR); }

} // namespace platform::remote
