// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/host.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

namespace platform::sim {

std::string backend_path(domain_id domain) { return fmt::format("/local/domain/0/backend/pci/{}/0", domain); }
std::string frontend_path(domain_id domain) { return fmt::format("/local/domain/{}/device/pci/0", domain); }

namespace {

bool below(const pci::function& function, const pci::sbdf& bridge) {
  return std::find(function.bridges.begin(), function.bridges.end(), bridge) != function.bridges.end();
}

} // namespace

host::host(clock::kind time)
    : clock_(time), channels_(time == clock::kind::real), xen_(&clock_),
      grants_([this](domain_id domain) { finish_domain(domain); }), pci_(xen_), lines_(xen_),
      guards_([this] { go_on_with_departures(); }) {
  xen_.when_crashed([this](domain_id domain) { store_.fire_special("@releaseDomain", domain); });
  for (const auto* path : {"/local/domain/0/backend", "/libxl/pci", "/vm", "/tool"})
    (void)xenstore().make_directory(path);
  (void)xenstore().write("/local/domain/0/name", "Domain-0");
  (void)xenstore().write("/local/domain/0/domid", "0");
  store_.set_listener(0, [this](const std::string& path, const std::string& token) {
    std::lock_guard hold(mutex_);
    if (!delivery_.send([&](event_sink& sink) { sink.store_changed(path, token); }))
      waiting_.emplace_back(path, token);
  });
}

pci::result<void> host::start(event_sink& sink) {
  {
    std::lock_guard hold(mutex_);
    if (!delivery_.open(sink))
      return pci::fail(EBUSY, "the simulated host is started already");
    for (const auto& [path, token] : waiting_)
      sink.store_changed(path, token);
    waiting_.clear();
  }
  for (const auto& address : guards_.guarded())
    if (guards_.state(address) == pci::guard_state::holding)
      sink.removal_waits(address);
  if (!clock_.is_manual())
    line_thread_ = std::jthread([this](const std::stop_token& stop) { wait_for_lines(stop); });
  return {};
}

void host::stop() {
  line_thread_ = {};
  delivery_.close();
}

void host::wait_for_lines(const std::stop_token& stop) {
  auto& bell = xen_.claimed_bell();
  const std::stop_callback wake(stop, [&bell] { bell.ring(); });
  while (!stop.stop_requested()) {
    (void)bell.wait_until([&] { return stop.stop_requested() || xen_.any_claimed(); }, std::chrono::hours(24));
    deliver_lines();
  }
}

bool host::deliver_lines() {
  const auto lines = xen_.take_claimed();
  if (!lines.empty())
    delivery_.send([&](event_sink& sink) { sink.line_interrupts(lines); });
  return !lines.empty();
}

void host::end_daemon() {
  stop();
  store_.drop_watches(0);
  channels_.close_all_local();
  lines_.ignore_all();
  pci_.forget_power();
  std::lock_guard hold(mutex_);
  waiting_.clear();
}

void host::add_function(device_model model, const std::string& driver, bool uses_line) {
  {
    std::lock_guard hold(departures_mutex_);
    if (!departures_.empty()) {
      const auto address = model.address;
      departures_.push_back({address, false, false, [this, model = std::move(model), driver, uses_line]() mutable {
                               appear(std::move(model), driver, uses_line);
                             }});
      return;
    }
  }
  appear(std::move(model), driver, uses_line);
}

void host::appear(device_model model, const std::string& driver, bool uses_line) {
  const auto address = model.address;
  xen_.add_function(std::move(model));
  pci_.bind_driver(address, driver, uses_line);
  delivery_.send([&](event_sink& sink) { sink.function_added(address); });
}

bool host::remove_function(const pci::sbdf& address) {
  if (!xen_.facts(address))
    return false;
  depart({address});
  return true;
}

void host::depart(departure what) {
  {
    std::lock_guard hold(departures_mutex_);
    departures_.push_back(what);
  }
  go_on_with_departures();
}

/// pci_stop_dev, then pci_destroy_dev; between them the kernel waits for those who read the function's file in
/// /proc/bus/pci.
void host::go_on_with_departures() {
  std::lock_guard hold(departures_mutex_);
  while (!departures_.empty()) {
    auto& next = departures_.front();
    const auto address = next.address;
    if (next.arrival) {
      next.arrival();
      departures_.pop_front();
      continue;
    }
    if (!std::exchange(next.begun, true) && xen_.unbind_driver(address))
      delivery_.send([&](event_sink& sink) { sink.driver_unbound(address); });
    if (next.removal && guards_.hold_up(address)) {
      if (!std::exchange(next.waits, true))
        delivery_.send([&](event_sink& sink) { sink.removal_waits(address); });
      return;
    }
    if (next.removal && xen_.remove_function(address))
      delivery_.send([&](event_sink& sink) { sink.function_removed(address); });
    departures_.pop_front();
  }
}

void host::report_error(const pci::sbdf& address, pci::error_severity severity, const std::string& status) {
  delivery_.send([&](event_sink& sink) { sink.function_error(address, severity, status); });
}

void host::lose_xenstored(const std::string& reason) {
  store_.disconnect(0);
  delivery_.send([&](event_sink& sink) { sink.lost("xenstore", reason); });
}

void host::regain_xenstored() {
  store_.reconnect(0);
  delivery_.send([](event_sink& sink) { sink.regained("xenstore"); });
}

void host::sleep(bool restored) {
  for (const auto& address : pci_.list())
    pci_.lose_power(address, restored);
  delivery_.send([](event_sink& sink) { sink.resumed(); });
}

void host::end_recovery(const pci::sbdf& address) {
  delivery_.send([&](event_sink& sink) { sink.recovery_ended(address); });
}

/// drivers/pci/pcie/{aer,err}.c with holders that have no error handlers.
void host::inject_error(const pci::sbdf& address, pci::error_severity severity, const std::string& status) {
  const auto described = pci_.describe(address);
  if (!described)
    return;
  report_error(address, severity, status);
  if (severity == pci::error_severity::corrected)
    return;
  const auto bridge = described->bridges.empty() ? address : described->bridges.front();
  if (severity == pci::error_severity::fatal)
    for (const auto& each : pci_.list())
      if (const auto other = pci_.describe(each); other && (each == address || below(*other, bridge)))
        pci_.reset_bus(each);
  end_recovery(bridge);
}

domain_id host::create_domain(const std::string& name) {
  domain_options options;
  options.name = name;
  return create_domain(options);
}

domain_id host::create_domain(const domain_options& options) {
  domain_id domain = 0;
  auto bell = std::make_shared<doorbell>();
  {
    std::lock_guard hold(mutex_);
    domain = next_domain_++;
    bells_[domain] = bell;
  }
  xen_.add_domain(domain, options, bell);
  channels_.add_domain(domain, bell);
  grants_.add_domain(domain);
  store_.set_listener(domain, [bell](const std::string&, const std::string&) { bell->ring(); });
  make_domain_nodes(domain, options);
  store_.fire_special("@introduceDomain", domain);
  return domain;
}

void host::make_domain_nodes(domain_id domain, const domain_options& options) {
  const auto path = fmt::format("/local/domain/{}", domain);
  const std::array<node_permission, 2> read_only{node_permission{0, false, false}, {domain, true, false}};
  const std::array<node_permission, 1> own{node_permission{domain, false, false}};
  (void)tools().transact(
      [&](store_operations& store) -> result<void> {
        if (auto made = store.make_directory(path); !made)
          return made;
        (void)store.set_permissions(path, read_only);
        (void)store.write(path + "/name", options.name);
        if (!options.uuid.empty())
          (void)store.write(path + "/vm", "/vm/" + options.uuid);
        (void)store.write(path + "/domid", std::to_string(domain));
        if (options.target)
          (void)store.write(path + "/target", std::to_string(*options.target));
        (void)store.write(fmt::format("/libxl/{}/type", domain), options.kind == domain_kind::pv    ? "pv"
                                                                 : options.kind == domain_kind::hvm ? "hvm"
                                                                                                    : "pvh");
        (void)store.make_directory(path + "/device");
        (void)store.make_directory(path + "/data");
        (void)store.make_directory(path + "/error"); // what its drivers say of themselves
        (void)store.set_permissions(path + "/error", own);
        return store.set_permissions(path + "/data", own);
      },
      16);
}

std::shared_ptr<doorbell> host::bell(domain_id domain) const {
  std::lock_guard hold(mutex_);
  const auto found = bells_.find(domain);
  return found == bells_.end() ? nullptr : found->second;
}

void host::shut_down(domain_id domain) {
  xen_.shut_down(domain);
  store_.fire_special("@releaseDomain", domain);
}

/// In Xen's order: dying, event channels, devices to quarantine; then xenstored hears of it. The rest waits for the
/// last mapping of the domain's memory.
void host::destroy(domain_id domain) {
  grants_.kill_domain(domain);
  xen_.kill(domain);
  channels_.remove_domain(domain);
  store_.set_listener(domain, {});
  store_.release_domain(domain);
  store_.fire_special("@releaseDomain", domain);
  if (const auto woken = bell(domain))
    woken->ring();
  if (grants_.mapped(domain) == 0)
    finish_domain(domain);
}

/// Called for living domains too, each time that nothing of them is mapped.
void host::finish_domain(domain_id domain) {
  const auto info = xen_.domain(domain);
  if (!info || !info->dying)
    return;
  xen_.finish(domain);
  grants_.remove_domain(domain);
  std::lock_guard hold(mutex_);
  bells_.erase(domain);
}

} // namespace platform::sim
