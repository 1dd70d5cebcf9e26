// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/packets.hpp"

#include <cstring>

#include <sys/socket.h>

namespace platform::linux_host {
namespace {

/// Room for one descriptor, as a control message has it. More than one that a partner sends are closed by the kernel.
struct control_room {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))] = {};
};

} // namespace

bool send_packet(int socket, std::string_view text, int attached) {
  iovec content{const_cast<char*>(text.data()), text.size()}; // sendmsg does not write to it
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  control_room room;
  if (attached >= 0) {
    message.msg_control = room.bytes;
    message.msg_controllen = sizeof room.bytes;
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof attached);
    std::memcpy(CMSG_DATA(header), &attached, sizeof attached);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(text.size());
}

ssize_t receive_packet(int socket, std::span<char> packet, descriptor& attached) {
  iovec content{packet.data(), packet.size()};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  control_room room;
  message.msg_control = room.bytes;
  message.msg_controllen = sizeof room.bytes;
  const auto size = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  attached = descriptor{};
  if (size < 0)
    return size;
  const auto* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len >= CMSG_LEN(sizeof(int))) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof number);
    attached = descriptor{number};
  }
  return size;
}

} // namespace platform::linux_host
