// SPDX-License-Identifier: GPL-2.0-or-later
// A function's configuration space for who wants to look at it, and the settings that are others while it is held.
#include <cerrno>
#include <chrono>

#include <fmt/format.h>

#include "actors/device/device.hpp"
#include "messages/errors.hpp"
#include "pci/config_space/snapshot.hpp"

namespace actors {
namespace {

// A card whose accesses take longer than this, all together, answers nobody's question.
constexpr auto patience_with_snapshot = std::chrono::seconds(5);

/// By a port of its own, so that nobody waits for it: an access to configuration space is whole by itself.
pci::result<std::vector<std::byte>> read_now(platform::host& host, const pci::function& function) {
  const auto end = std::chrono::steady_clock::now() + patience_with_snapshot;
  return host.pci().open_config(function.address).and_then([&](const std::unique_ptr<pci::config_port>& port) {
    return pci::take_snapshot(*port, function.config_size(), [end] { return std::chrono::steady_clock::now() < end; });
  });
}

/// What a guest reads where the hardware has these bytes.
pci::result<std::vector<std::byte>> view_of(const std::shared_ptr<serving>& lease, const pci::function& function,
                                            const pci::policy& policy, const std::vector<std::byte>& bytes) {
  if (lease) {
    return pci::guest_view(lease->exclusively([](const hardware& device) { return device.view(); }), bytes);
  }
  return pci::space::build(function, policy).map([&](const pci::space& next) { return pci::guest_view(next, bytes); });
}

} // namespace

caf::result<messages::config_account> device_state::config() {
  if (!hardware_) {
    return messages::to_error(refusal("looked at"));
  }
  auto promise = self_->make_response_promise();
  run_on_new_thread<messages::config_account>(
      *all_, self_,
      [all = all_, lease = serving_, function = hardware_->description(), domain = domain_,
       policy = policy_.in_force()]() -> pci::result<messages::config_account> {
        messages::config_account account;
        account.function = function;
        account.domain = lease ? domain : std::nullopt;
        const auto bytes = read_now(all->host, function);
        const auto guest = bytes ? view_of(lease, function, policy, *bytes) : bytes;
        if (guest) {
          account.hardware = *bytes;
          account.guest = *guest;
        } else {
          account.trouble = pci::to_string(guest.error());
        }
        return account;
      },
      [promise](const pci::result<messages::config_account>& account) mutable { reply(promise, account); });
  return promise;
}

void device_state::reload(const pci::policy& policy, bool keep) {
  const bool leased = state() == messages::function_state::leased || state() == messages::function_state::inherited;
  policy_.configure(policy, keep, leased);
}

} // namespace actors
