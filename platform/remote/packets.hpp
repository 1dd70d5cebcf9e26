// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace platform::remote {

using platform::descriptor;

/// A pair of connected sockets that keep packets apart.
[[nodiscard]] pci::result<std::pair<descriptor, descriptor>> make_socket_pair();

/// One end of such a pair. One thread sends, one receives.
class packet_socket {
public:
  explicit packet_socket(descriptor socket);

  /// Waits while there is no room. `attached`: a descriptor that goes with it, unless it is negative. EPIPE: the other
  /// end is closed. EMSGSIZE: larger than `largest_packet`.
  [[nodiscard]] pci::result<void> send(std::string_view packet, int attached = -1) const;
  /// Waits for a packet, which is there until the next call. EPIPE: the other end is closed. EMSGSIZE: one that was
  /// larger than can be is lost. `attached` gets the descriptor that came with it; null: none is taken.
  [[nodiscard]] pci::result<std::string_view> receive(descriptor* attached = nullptr) const;
  /// Ends every `send` and `receive`, here and there.
  void end() const;
  [[nodiscard]] int get() const { return socket_.get(); }

private:
  descriptor socket_;
  std::unique_ptr<char[]> room_; ///< not touched before it is used: most packets are small
};

} // namespace platform::remote
