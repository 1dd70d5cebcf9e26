// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string_view>

#include <sys/types.h>

#include "platform/descriptor.hpp"

/// Packets over a connected local socket that keeps them apart (SOCK_SEQPACKET), each with at most one descriptor
/// (SCM_RIGHTS). Source: unix(7), cmsg(3).
namespace platform {

/// Sends one packet, with a copy of `attached` unless that is negative. `flags` as sendmsg takes them; a socket that is
/// closed raises no SIGPIPE. What sendmsg returns, and errno.
[[nodiscard]] ssize_t send_packet(int socket, std::string_view packet, int attached, int flags = 0);

/// What came of a packet.
struct received_packet {
  ssize_t size = -1; ///< what recvmsg returns, with errno; 0: the other end is closed
  bool truncated = false;
};
/// Receives one packet. `attached` gets the descriptor that came with it, or none, and closes what it had; null: none
/// is taken. What comes beyond one the kernel closes.
[[nodiscard]] received_packet receive_packet(int socket, std::span<char> room, descriptor* attached, int flags = 0);

} // namespace platform
