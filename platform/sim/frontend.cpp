// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's half of xenbus.
#include "platform/sim/frontend.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "platform/sim/violation.hpp"

namespace platform::sim {

frontend::frontend(host& host, domain_id domain, waiter& wait, flavour kind)
    : host_(&host), domain_(domain), wait_(&wait), kind_(kind), habits_(&habits_of(kind)),
      own_path_(frontend_path(domain)), page_(std::make_shared<guest_page>()) {}

frontend::~frontend() {
  host_->store_daemon().set_listener(domain_, {});
  host_->channels().close(domain_, port_);
}

void frontend::panic(const std::string& why) { when_panicked_ ? when_panicked_(why) : violation(why); }

/// The state of the guest's device, kept as Linux keeps it and written to xenstore.
void frontend::set_state(int state) {
  state_ = state;
  (void)write_node("state", std::to_string(state));
}

std::string frontend::read_node(const std::string& name) {
  return host_->store_daemon().for_domain(domain_).read(own_path_ + "/" + name).value_or("");
}

result<void> frontend::write_node(const std::string& name, std::string_view value) {
  return host_->store_daemon().for_domain(domain_).write(own_path_ + "/" + name, value);
}

void frontend::allocate() {
  auto fresh = std::make_shared<guest_page>();
  page_ = std::move(fresh);
  if (habits_->answers_aer)
    set_flags(pci::wire::frontend_aer);
  reference_ = host_->grant_table().grant(domain_, page_);
  if (const auto port = host_->channels().allocate_unbound(domain_)) {
    port_ = *port;
    pending_ = host_->channels().pending(domain_, port_);
  }
}

result<void> frontend::publish() {
  auto& store = host_->store_daemon().for_domain(domain_);
  auto done = store.transact(
      [&](store_operations& t) -> result<void> {
        (void)t.write(own_path_ + "/pci-op-ref", std::to_string(reference_));
        (void)t.write(own_path_ + "/event-channel", std::to_string(port_));
        auto written = t.write(own_path_ + "/magic", pci::wire::magic);
        return !habits_->state_with_nodes || !written ? written : t.write(own_path_ + "/state", "3");
      },
      16);
  if (done)
    set_state(3);
  return done;
}

void frontend::watch_backend() {
  if (watching_)
    return;
  watching_ = true;
  host_->store_daemon().set_listener(
      domain_, [changed = changed_, bell = host_->bell(domain_)](const std::string&, const std::string&) {
        *changed = true;
        if (bell)
          bell->ring();
      });
  (void)host_->store_daemon().for_domain(domain_).watch(backend_path_ + "/state", "backend");
}

pci::result<void> frontend::start() {
  auto backend = host_->store_daemon().for_domain(domain_).read(own_path_ + "/backend");
  if (!backend)
    return pci::fail(ENODEV, fmt::format("domain {}: no device/pci/0", domain_));
  if (unplugged_ && kind_ == flavour::linux && read_node("state") != "1")
    return pci::fail(ENODEV, fmt::format("domain {}: device/pci/0 is not new", domain_));
  backend_path_ = *backend;
  unplugged_ = false;
  allocate();
  watch_backend();
  return publish();
}

int frontend::backend_state() {
  if (changed_->exchange(false))
    backend_seen_ = published("state");
  return backend_seen_;
}

bool frontend::backend_is(int state) { return backend_state() == state; }

pci::result<void> frontend::connect(std::chrono::nanoseconds limit) {
  if (auto started = start(); !started)
    return started;
  if (!serve_until(4, limit))
    return pci::fail(ETIMEDOUT, fmt::format("domain {}: backend state {}", domain_, backend_state()));
  return {};
}

bool frontend::serve_until(int state, std::chrono::nanoseconds limit) {
  const auto end = host_->time().now() + limit;
  while (state_ != state) {
    const auto now = host_->time().now();
    if (unplugged_ || now >= end)
      return false;
    // The wait ends before the reaction begins: a reaction waits itself.
    if (!wait_->wait_until([&] { return backend_state() != backend_handled_; }, end - now))
      return false;
    service();
  }
  return true;
}

bool frontend::service() {
  if (withheld_)
    return false;
  const bool aer = service_aer();
  const auto backend = backend_state();
  if (backend == backend_handled_ || !watching_)
    return aer;
  backend_handled_ = backend;
  return react(backend) || aer;
}

/// The driver is gone with all it had; the directory may be gone too, and is not made again.
void frontend::unplug() {
  unplugged_ = true;
  forget_functions();
  host_->channels().close(domain_, port_);
  state_ = 0;
}

void frontend::unplug_late() {
  unplug();
  if (!read_node("state").empty())
    (void)write_node("state", "6");
}

void frontend::forget_functions() {
  for (const auto& [function, bound] : pirqs_)
    for (const auto pirq : bound)
      unbind_pirq(pirq);
  pirqs_.clear();
  functions_.clear();
}

} // namespace platform::sim
