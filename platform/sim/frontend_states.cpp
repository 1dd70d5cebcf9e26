// SPDX-License-Identifier: GPL-2.0-or-later
// What frontends make of their backend's states (spec 9.1, 9.6, 9.7).
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "platform/sim/frontend.hpp"

namespace platform::sim {

using namespace std::chrono_literals;

namespace {

int parse(const result<std::string>& text) {
  int number = 0;
  if (text)
    std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

} // namespace

const habits& habits_of(flavour kind) {
  static constexpr habits linux_guest{.answers_aer = true,
                                      .state_with_nodes = false,
                                      .gives_up = true,
                                      .dwords_only = false,
                                      .host_addresses = false,
                                      .needs_root_num = false,
                                      .sweeps = true,
                                      .messages = true};
  static constexpr habits mini_os{.answers_aer = false,
                                  .state_with_nodes = true,
                                  .gives_up = false,
                                  .dwords_only = false,
                                  .host_addresses = true,
                                  .needs_root_num = false,
                                  .sweeps = false,
                                  .messages = true};
  static constexpr habits netbsd{.answers_aer = false,
                                 .state_with_nodes = true,
                                 .gives_up = false,
                                 .dwords_only = true,
                                 .host_addresses = false,
                                 .needs_root_num = false,
                                 .sweeps = false,
                                 .messages = false};
  static constexpr habits freebsd{.answers_aer = false,
                                  .state_with_nodes = true,
                                  .gives_up = true,
                                  .dwords_only = false,
                                  .host_addresses = false,
                                  .needs_root_num = true,
                                  .sweeps = false,
                                  .messages = false};
  switch (kind) {
  case flavour::linux:
    break;
  case flavour::mini_os:
    return mini_os;
  case flavour::netbsd:
    return netbsd;
  case flavour::freebsd:
    return freebsd;
  }
  return linux_guest;
}

bool frontend::react(int backend) {
  if (backend == 0 && state_ != 1) {
    unplug();
    return true;
  }
  switch (kind_) {
  case flavour::linux:
    return react_as_linux(backend);
  case flavour::mini_os:
    return react_as_mini_os(backend);
  case flavour::netbsd:
    return react_as_netbsd(backend);
  case flavour::freebsd:
    return react_as_freebsd(backend);
  }
  return false;
}

bool frontend::come_up(int next) {
  if (scan_on_connect_)
    functions_ = scan();
  set_state(next);
  return true;
}

bool frontend::react_as_linux(int backend) {
  if (backend == 4 && state_ == 3)
    return come_up(4);
  if ((backend == 5 || backend == 6) && state_ != 6) {
    if (state_ == 4)
      forget_functions();
    set_state(6);
    return true;
  }
  if (backend == 7 && (state_ == 3 || state_ == 4)) {
    if (state_ == 3)
      return come_up(7); // missed the 4
    remove_gone_functions();
    set_state(7);
    return true;
  }
  return backend == 8 && state_ == 7 && come_up(4);
}

bool frontend::react_as_mini_os(int backend) {
  if (backend == 4 && state_ == 3)
    return come_up(4);
  if (backend == 7 || (backend == 8 && state_ == 7)) {
    set_state(backend == 7 ? 7 : 4); // no scan
    return true;
  }
  if (backend == 5 && state_ < 5) {
    set_state(5);
    set_state(6);
    return true;
  }
  if (backend == 6 && state_ == 6) {
    forget_functions();
    set_state(1);
    return true;
  }
  // Back in Initialising it waits for a backend that begins again.
  return state_ == 1 && (backend == 2 || backend == 3) && start().has_value();
}

/// Spec 9.7: it spins in a handler that knows six states.
bool frontend::react_as_netbsd(int backend) {
  if (backend >= 6) {
    panic(fmt::format("domain {}: NetBSD panics: bad backend state {}", domain_, backend));
    return false;
  }
  if (backend == 4 && state_ == 3)
    return come_up(4);
  if (backend != 5)
    return false;
  forget_functions();
  set_state(6);
  return true;
}

/// It looks for devices once, and knows nothing of hot-plug.
bool frontend::react_as_freebsd(int backend) {
  if (backend == 4 && state_ == 3)
    return come_up(4);
  if ((backend != 5 && backend != 6) || state_ >= 5)
    return false;
  forget_functions();
  set_state(5);
  return true;
}

int frontend::published(const char* node) {
  return parse(host_->store_daemon().for_domain(domain_).read(fmt::format("{}/{}", backend_path_, node)));
}

void frontend::remove_gone_functions() {
  auto& store = host_->store_daemon().for_domain(domain_);
  const auto count = published("num_devs");
  for (int i = 0; i < count; ++i) {
    if (parse(store.read(fmt::format("{}/state-{}", backend_path_, i))) != 5)
      continue;
    const auto vdev = pci::parse_node_sbdf(store.read(fmt::format("{}/vdev-{}", backend_path_, i)).value_or(""));
    if (!vdev)
      continue;
    // The guest's driver lets go of its interrupts first.
    if (pirqs_.contains(*vdev))
      (void)disable(*vdev);
    std::erase_if(functions_, [&](const auto& function) { return function.address == *vdev; });
  }
}

bool frontend::shut_down_as_mini_os() {
  for (const auto& [own, least, most] : {std::tuple{5, 5, 8}, {6, 6, 8}, {1, 2, 5}}) {
    set_state(own);
    const auto followed = [&, least = least, most = most] {
      const auto backend = backend_state();
      return backend >= least && backend <= most;
    };
    if (!wait_->wait_until(followed, hang_limit))
      return false;
  }
  forget_functions();
  return true;
}

bool frontend::shutdown() {
  if (kind_ == flavour::netbsd)
    return true;
  if (kind_ == flavour::mini_os)
    return shut_down_as_mini_os();
  set_state(5);
  const bool followed = wait_->wait_until([&] { return backend_is(5); }, 5s);
  forget_functions();
  if (kind_ != flavour::freebsd)
    set_state(6);
  backend_handled_ = backend_state();
  return followed;
}

pci::result<void> frontend::start_over(start_over_how how, std::chrono::nanoseconds limit) {
  if (how.through_initialising)
    set_state(1);
  if (how.close_old_port)
    host_->channels().close(domain_, port_);
  const auto before = std::exchange(pirqs_, {}); // bound still: their drivers hear of it when the new one is there
  functions_.clear();
  *changed_ = true; // each watch fires when it is set
  backend_handled_ = -1;
  auto connected = connect(limit);
  for (const auto& [function, bound] : before)
    for (const auto pirq : bound)
      unbind_pirq(pirq);
  return connected;
}

void frontend::unload() {
  forget_functions();
  host_->channels().close(domain_, port_);
  (void)host_->grant_table().revoke(domain_, reference_);
  set_state(6);
  *changed_ = true;
  backend_handled_ = -1;
}

pci::result<void> frontend::reconnect() {
  for (const auto& [own, wanted] : {std::pair{5, 5}, {6, 6}, {1, 2}}) {
    set_state(own);
    if (!wait_->wait_until([&, wanted = wanted] { return backend_is(wanted) || (wanted == 2 && backend_is(3)); }, 5s))
      return pci::fail(ETIMEDOUT, fmt::format("domain {}: state {}, backend state {}", domain_, own, backend_state()));
  }
  forget_functions();
  host_->channels().close(domain_, port_);
  (void)host_->grant_table().revoke(domain_, reference_);
  backend_handled_ = -1;
  return connect();
}

} // namespace platform::sim
