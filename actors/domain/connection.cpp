#include "actors/domain/connection.hpp"

#include <algorithm>

namespace actors {

pci::result<std::shared_ptr<connection>> connection::open(platform::host& host, messages::domain_id domain,
                                                          std::uint32_t grant_reference, std::uint32_t event_channel) {
  auto page = host.grant_table().map(domain, grant_reference);
  if (!page) {
    return tl::unexpected(page.error());
  }
  auto port = host.channels().bind_interdomain(domain, event_channel);
  if (!port) {
    return tl::unexpected(port.error());
  }
  return std::make_shared<connection>(host, std::move(*page), *port);
}

connection::connection(platform::host& host, std::unique_ptr<platform::mapped_page> page, platform::port port)
    : host_(host), page_(std::move(page)), view_(page_->address()), port_(port) {}

connection::~connection() { unbind(); }

bool connection::answer(const pci::shared_page::ticket& key, const pci::answer& answer) {
  if (!view_.publish(key, answer)) {
    return false;
  }
  // Nothing to do about a failure: the guest's end is gone, and its death is on its way here.
  if (bound_) {
    static_cast<void>(host_.channels().notify(port_));
  }
  return true;
}

void connection::unmask() {
  if (bound_) {
    host_.channels().unmask(port_);
  }
}

void connection::unbind() {
  if (std::exchange(bound_, false)) {
    host_.channels().unbind(port_);
  }
}

std::chrono::milliseconds event_backoff::spurious() {
  constexpr unsigned longest = 10; // 1 ms << 10: about a second
  const auto earlier = count_;
  count_ = std::min(count_ + 1, longest + 2);
  return std::chrono::milliseconds(earlier == 0 ? 0 : std::min(1U << std::min(earlier - 1, longest), 1000U));
}

} // namespace actors
