// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/links.hpp"

namespace platform::remote {

pci::result<std::string_view> link::exchange(const std::string& request, descriptor* attached) const {
  auto got = socket_.send(request).and_then([&] { return socket_.receive(attached); });
  if (!got && got.error().error != EMSGSIZE)
    return pci::fail(ENOTCONN, "the host process does not answer");
  return got;
}

// What the body says of its failure is told, and not the host process's word for it.
pci::result<void> link::transact(const std::function<pci::result<void>()>& body, std::uint32_t attempts) const {
  pci::result<void> outcome;
  auto got = exchange(packet(call::transact, attempts));
  while (got && decode<verdict>(*got) == verdict::begin) {
    outcome = body();
    got = exchange(packet(call::end_body, outcome.has_value()));
  }
  auto ended = read_answer<void>(got);
  return outcome ? ended : outcome;
}

pci::result<std::unique_ptr<link>> links::take() {
  std::unique_lock lock(mutex_);
  given_back_.wait(lock, [&] { return !idle_.empty() || made_ < most; });
  if (!idle_.empty()) {
    auto one = std::move(idle_.back());
    idle_.pop_back();
    return one;
  }
  auto made = first_.ask_for_descriptor<of::connect>();
  if (!made)
    return tl::unexpected(std::move(made.error()));
  ++made_;
  return std::make_unique<link>(std::move(made->file));
}

void links::give_back(std::unique_ptr<link> one) {
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(one));
  }
  given_back_.notify_one();
}

} // namespace platform::remote
