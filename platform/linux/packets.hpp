// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string_view>

#include <sys/types.h>

#include "platform/descriptor.hpp"

namespace platform::linux_host {

/// Sends one packet over a connected local socket, with a copy of a descriptor unless it is negative. Does not block;
/// false: not sent.
[[nodiscard]] bool send_packet(int socket, std::string_view text, int attached = -1);

/// Receives one packet, without blocking; `attached` gets the descriptor that came with it, or none. Returns recv's.
[[nodiscard]] ssize_t receive_packet(int socket, std::span<char> packet, descriptor& attached);

} // namespace platform::linux_host
