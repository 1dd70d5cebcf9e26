#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "messages/types.hpp"
#include "pci/protocol/shared_page.hpp"
#include "platform/host.hpp"

namespace actors {

/// A guest's shared page and event channel, while they are connected. Destroying it unbinds the channel, then unmaps
/// the page.
class connection {
public:
  /// Maps the page and binds the channel. May block.
  [[nodiscard]] static pci::result<std::shared_ptr<connection>>
  open(platform::host& host, messages::domain_id domain, std::uint32_t grant_reference, std::uint32_t event_channel);
  connection(platform::host& host, std::unique_ptr<platform::mapped_page> page, platform::port port);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection();

  [[nodiscard]] pci::shared_page& page() { return view_; }
  [[nodiscard]] platform::port port() const { return port_; }

  /// Writes an answer and tells the guest. False: the guest had given up on the operation; nothing was written.
  bool answer(const pci::shared_page::ticket& key, const pci::answer& answer);
  /// Lets the next event through. Only after the work is done: that is what bounds a guest to one event at a time.
  void unmask();
  /// Ends the channel at once, for a page that stays mapped a little longer.
  void unbind();

private:
  platform::host& host_;
  std::unique_ptr<platform::mapped_page> page_;
  pci::shared_page view_;
  platform::port port_;
  bool bound_ = true;
};

/// How long to leave an event channel masked after events for nothing (XSA-332; what the kernel does for its own
/// backends, and not for user space): none for the first, then 1 ms doubling to 1 s. Work resets it.
class event_backoff {
public:
  [[nodiscard]] std::chrono::milliseconds spurious();
  void worked() { count_ = 0; }

private:
  unsigned count_ = 0;
};

} // namespace actors
