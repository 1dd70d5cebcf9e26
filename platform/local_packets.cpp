// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/local_packets.hpp"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace platform {
namespace {

/// Room for one descriptor, as a control message has it.
struct descriptor_room {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))] = {};
};

void attach(msghdr& message, int number) {
  auto* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof number);
  std::memcpy(CMSG_DATA(header), &number, sizeof number);
}

descriptor taken_from(msghdr& message) {
  const auto* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len < CMSG_LEN(sizeof(int)))
    return descriptor{};
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return descriptor{number};
}

} // namespace

ssize_t send_packet(int socket, std::string_view packet, int attached, int flags) {
  iovec content{const_cast<char*>(packet.data()), packet.size()}; // sendmsg does not write to it
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  descriptor_room room;
  if (attached >= 0) {
    message.msg_control = room.bytes;
    message.msg_controllen = sizeof room.bytes;
    attach(message, attached);
  }
  ssize_t sent = -1;
  do
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  while (sent < 0 && errno == EINTR);
  return sent;
}

received_packet receive_packet(int socket, std::span<char> into, descriptor* attached, int flags) {
  iovec content{into.data(), into.size()};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  descriptor_room room;
  if (attached != nullptr) {
    message.msg_control = room.bytes;
    message.msg_controllen = sizeof room.bytes;
  }
  received_packet got;
  do
    got.size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  while (got.size < 0 && errno == EINTR);
  if (attached != nullptr) {
    const int error = errno; // which a close may change
    *attached = got.size < 0 ? descriptor{} : taken_from(message);
    errno = error;
  }
  got.truncated = got.size >= 0 && (message.msg_flags & MSG_TRUNC) != 0;
  return got;
}

} // namespace platform
