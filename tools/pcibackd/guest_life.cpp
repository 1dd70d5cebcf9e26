// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/guest_life.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pci/config_space/registers.hpp"
#include "pci/protocol/aer.hpp"

namespace daemon_program {
namespace {

using namespace std::chrono_literals;
using kind = platform::sim::driver::interrupt_kind;

constexpr unsigned interrupts_each = 10; ///< on every vector
constexpr auto interrupt_patience = 1s;
constexpr auto attention = 1s; ///< how often an idle guest looks around without being woken
constexpr auto slice = 100ms;  ///< how soon a guest that waits sees that it is to end
// A guest that reboots comes back before the functions of its last life are clean; the daemon's own limit.
constexpr auto longest_scrub = 90s;
constexpr auto scrub_look = 50ms;

platform::sim::flavour flavour_of(config::guest_frontend whose) {
  switch (whose) {
  case config::guest_frontend::linux:
    break;
  case config::guest_frontend::mini_os:
    return platform::sim::flavour::mini_os;
  case config::guest_frontend::netbsd:
    return platform::sim::flavour::netbsd;
  case config::guest_frontend::freebsd:
    return platform::sim::flavour::freebsd;
  }
  return platform::sim::flavour::linux;
}

std::string_view name_of(kind how) {
  switch (how) {
  case kind::msix:
    return "MSI-X";
  case kind::msi:
    return "MSI";
  case kind::intx:
    return "INTx";
  case kind::none:
    break;
  }
  return "no interrupt";
}

} // namespace

void guest_orders::forget() {
  end = guest_end::none;
  stalled_until = flooding_until = clock::time_point::min();
}

bool guest_orders::at_once() const {
  const auto how = end.load();
  return how == guest_end::kill || how == guest_end::crash || clock::now() >= deadline.load();
}

// Slices, since the deadline may be set while it waits; and once it is over, what fails must fail at once.
bool guest_life::life_waiter::wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) {
  for (auto left = limit; left > 0ns && !life_->orders_->at_once();
       left -= std::min<std::chrono::nanoseconds>(left, slice)) {
    if (spinner_.wait_until([&] { return condition() || life_->orders_->at_once(); },
                            std::min<std::chrono::nanoseconds>(left, slice))) {
      break;
    }
  }
  if (life_->orders_->at_once()) {
    life_->front_.set_patience(0ns);
  }
  return condition();
}

guest_life::guest_life(platform::sim::host& host, const config::simulated_guest& what, platform::domain_id domain,
                       guest_orders& orders, speaker say)
    : host_(&host), what_(&what), domain_(domain), orders_(&orders), say_(std::move(say)), bell_(host.bell(domain)),
      wait_(*this), front_(host, domain, wait_, flavour_of(what.frontend)), chance_(domain) {
  front_.when_panicked([this](const std::string& why) { panic_ = why; });
  front_.handle_aer([this](const pci::wire::aer_operation& request) { return recover(request); });
}

bool guest_life::ends() {
  const auto info = host_->xen().domain(domain_);
  return orders_->end != guest_end::none || !panic_.empty() || !info || info->dying || info->shutdown;
}

void guest_life::rest(std::chrono::nanoseconds time) {
  static_cast<void>(wait_.wait_until([this] { return ends(); }, time));
}

// A guest whose work has failed runs on, as a real one would without its driver.
guest_end guest_life::live(const std::function<void(const pci::result<void>&)>& idle) {
  const auto outcome = work();
  const auto ordered = orders_->end.load();
  if (ordered == guest_end::none || outcome) {
    idle(outcome);
  }
  if (panic_.empty()) {
    serve();
  }
  if (!panic_.empty()) {
    say_("panics: " + panic_);
    return guest_end::crash;
  }
  const auto how = orders_->end.load();
  if (how == guest_end::none) {
    say_("was stopped by the daemon");
    return guest_end::crash;
  }
  if (how == guest_end::shutdown || how == guest_end::reboot) {
    shut_down();
  }
  return how;
}

void guest_life::shut_down() {
  if (!connected_ || what_->habit == config::guest_habit::silent) {
    say_("shut down");
    return;
  }
  for (auto& function : functions_) {
    function.driver.remove();
  }
  say_(front_.shutdown() ? "shut down" : "shut down, without the backend");
}

pci::result<void> guest_life::work() {
  if (what_->functions.empty()) {
    say_(fmt::format("domain {} has no functions", domain_));
    return {};
  }
  for (const auto& function : what_->functions) {
    if (auto attached = attach(function); !attached) {
      return attached;
    }
  }
  auto done = front_.connect().and_then([this]() -> pci::result<void> {
    connected_ = true;
    return bind_drivers();
  });
  if (done && functions_.size() != what_->functions.size()) {
    return pci::fail(ENODEV, fmt::format("found {} of {} functions", functions_.size(), what_->functions.size()));
  }
  for (auto function = functions_.begin(); done && function != functions_.end(); ++function) {
    done = take_interrupts(*function);
  }
  return done.and_then([this] { return read_registers(); });
}

// Another guest's, or of this one's last life, and not yet clean: whoever reboots a guest tries until it is.
pci::result<void> guest_life::attach(const pci::sbdf& function) {
  const auto end = guest_orders::clock::now() + longest_scrub;
  for (;;) {
    auto attached = host_->toolstack_attach(domain_, function, true);
    if (attached || attached.error().error != EBUSY || ends() || guest_orders::clock::now() >= end) {
      return attached;
    }
    rest(scrub_look);
  }
}

// mini-os speaks of the host's addresses. Else the backend's vdev-N beside libxl's dev-N says where the simulated
// hardware must raise what the guest is to get.
std::optional<pci::sbdf> guest_life::real_address(const pci::sbdf& seen) {
  if (what_->frontend == config::guest_frontend::mini_os) {
    return seen;
  }
  auto& store = host_->xenstore();
  const auto node = [&](const char* name, std::size_t index) {
    return store.read(fmt::format("{}/{}-{}", platform::sim::backend_path(domain_), name, index))
        .and_then([](const std::string& text) { return pci::parse_node_sbdf(text); });
  };
  constexpr std::size_t most_functions = 256;
  for (std::size_t index = 0; index < most_functions && node("dev", index); ++index) {
    if (const auto there = node("vdev", index); there && *there == seen) {
      return *node("dev", index);
    }
  }
  return std::nullopt;
}

/// A driver for each function that has none yet.
pci::result<void> guest_life::bind_drivers() {
  const auto found = front_.functions();
  for (const auto& each : found) {
    const auto has_it = [&](const bound_function& one) { return one.seen == each.address; };
    if (std::any_of(functions_.begin(), functions_.end(), has_it)) {
      continue;
    }
    if (auto bound = bind_driver(each); !bound) {
      return bound;
    }
  }
  return {};
}

pci::result<void> guest_life::bind_driver(const platform::sim::seen_function& found) {
  say_(fmt::format("found {} {:04x}:{:04x}", pci::to_string(found.address), found.vendor, found.device));
  const auto real = real_address(found.address);
  if (!real) {
    return pci::fail(ENOENT, fmt::format("{} is in no vdev node", pci::to_string(found.address)));
  }
  platform::sim::driver driver{front_, found.address};
  auto probed = what_->driver == config::guest_driver::nvme ? driver.probe_as_nvme() : driver.probe();
  // A bridge has no interrupt and needs no driver: the guest has seen it, and goes on. A disk without one is of no use.
  const bool is_disk = what_->driver == config::guest_driver::nvme && front_.uses_messages() &&
                       (found.header_type & pci::reg::header_layout) == 0;
  if (!probed && (is_disk || probed.error().error != ENODEV)) {
    return probed;
  }
  say_(fmt::format("{} has {}, {} vectors, pirqs {}", pci::to_string(found.address), name_of(driver.kind()),
                   driver.pirqs().size(), fmt::join(driver.pirqs(), " ")));
  functions_.push_back({driver, found.address, *real});
  return {};
}

pci::result<void> guest_life::interrupt(const bound_function& function, std::uint16_t entry) {
  const auto before = function.driver.interrupts();
  const bool line = function.driver.kind() == kind::intx;
  if (line) {
    host_->xen().raise_intx(function.real);
  } else {
    host_->xen().raise(function.real, entry);
  }
  const bool came = wait_.wait_until([&] { return function.driver.interrupts() > before; }, interrupt_patience);
  if (line) {
    host_->xen().lower_intx(function.real);
  }
  return came
             ? pci::result<void>{}
             : pci::fail(ETIMEDOUT, fmt::format("{}: interrupt {} did not come", pci::to_string(function.seen), entry));
}

pci::result<void> guest_life::take_interrupts(const bound_function& function) {
  for (unsigned turn = 0; turn < interrupts_each; ++turn) {
    for (std::size_t entry = 0; entry < function.driver.pirqs().size(); ++entry) {
      if (auto came = interrupt(function, static_cast<std::uint16_t>(entry)); !came) {
        return came;
      }
    }
  }
  say_(fmt::format("{} raised {} interrupts, all received", pci::to_string(function.seen),
                   function.driver.interrupts()));
  return {};
}

pci::result<void> guest_life::read_registers() {
  const auto begin = std::chrono::steady_clock::now();
  unsigned done = 0;
  for (; done < what_->operations && orders_->end == guest_end::none && !front_.functions().empty(); ++done) {
    const auto& function = front_.functions()[done % front_.functions().size()];
    const auto ids = static_cast<std::uint32_t>(function.device) << 16U | function.vendor;
    const auto answer = front_.read(function.address, pci::reg::vendor_id, 4);
    if (!answer.good() || answer.value != ids) {
      return pci::fail(EIO, fmt::format("read {} of {} gave error {}, value {:08x}", done + 1,
                                        pci::to_string(function.address), answer.error, answer.value));
    }
  }
  const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begin;
  if (done > 0) {
    say_(fmt::format("{} configuration reads, {:.1f} us each", done, taken.count() / done));
  }
  return {};
}

} // namespace daemon_program
