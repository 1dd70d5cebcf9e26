// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulated_guest.hpp"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pci/config_space/registers.hpp"

namespace daemon_program {
namespace {

using namespace std::chrono_literals;
using kind = platform::sim::driver::interrupt_kind;

constexpr unsigned interrupts_each = 10; ///< on every vector
constexpr auto interrupt_patience = 1s;
constexpr auto attention = 1s; ///< how often an idle guest looks around without being woken

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

simulated_guest::simulated_guest(platform::sim::host& host, config::simulated_guest what)
    : host_(&host), what_(std::move(what)), domain_(host.create_domain(what_.name)), bell_(host.bell(domain_)) {}

void simulated_guest::start() {
  thread_ = std::thread{[this] { run(); }};
}

// Guests speak at once: a line is one call, which locks the stream.
void simulated_guest::say(const std::string& line) const {
  static_cast<void>(std::fputs(fmt::format("{}: {}\n", what_.name, line).c_str(), stdout));
  static_cast<void>(std::fflush(stdout));
}

std::optional<std::string> simulated_guest::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

bool simulated_guest::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return idle_ || hurried_; });
  return idle_;
}

void simulated_guest::hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
  }
  stopping_ = true;
  changed_.notify_all();
  bell_->ring();
}

void simulated_guest::shut_down() {
  if (thread_.joinable()) {
    hurry();
    thread_.join();
  }
}

void simulated_guest::become_idle(const pci::result<void>& outcome) {
  {
    const std::lock_guard lock(mutex_);
    idle_ = true;
    if (!outcome) {
      failure_ = pci::to_string(outcome.error());
    }
  }
  if (!outcome) {
    say("failed: " + pci::to_string(outcome.error()));
  }
  changed_.notify_all();
}

void simulated_guest::run() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, what_.start_delay, [this] { return hurried_; });
  }
  if (!stopping_) {
    live();
  }
  host_->toolstack_destroy(domain_);
}

// A guest that failed just ends, as one that crashed does.
void simulated_guest::live() {
  platform::sim::threaded_waiter wait{*bell_};
  platform::sim::frontend front{*host_, domain_, wait, flavour_of(what_.frontend)};
  const auto outcome = work(front, wait);
  become_idle(outcome);
  if (!outcome || what_.functions.empty()) {
    return;
  }
  serve(front, wait);
  for (auto& function : functions_) {
    function.driver.remove();
  }
  say(front.shutdown() ? "shut down" : "shut down, without the backend");
}

pci::result<void> simulated_guest::work(platform::sim::frontend& front, platform::sim::waiter& wait) {
  if (what_.functions.empty()) {
    say(fmt::format("domain {} has no functions", domain_));
    return {};
  }
  for (const auto& function : what_.functions) {
    if (auto attached = host_->toolstack_attach(domain_, function, true); !attached) {
      return attached;
    }
  }
  return front.connect()
      .and_then([&] { return bind_drivers(front); })
      .and_then([&] { return take_interrupts(wait); })
      .and_then([&] { return read_registers(front); });
}

// mini-os speaks of the host's addresses. Else the backend's vdev-N beside libxl's dev-N says where the simulated
// hardware must raise what the guest is to get.
std::optional<pci::sbdf> simulated_guest::real_address(const pci::sbdf& seen) {
  if (what_.frontend == config::guest_frontend::mini_os) {
    return seen;
  }
  auto& store = host_->xenstore();
  const auto node = [&](const char* name, std::size_t index) {
    return store.read(fmt::format("{}/{}-{}", platform::sim::backend_path(domain_), name, index))
        .and_then([](const std::string& text) { return pci::parse_node_sbdf(text); });
  };
  for (std::size_t index = 0; index < what_.functions.size(); ++index) {
    if (const auto there = node("vdev", index); there && *there == seen) {
      const auto real = node("dev", index);
      return real ? std::optional{*real} : std::nullopt;
    }
  }
  return std::nullopt;
}

pci::result<void> simulated_guest::bind_drivers(platform::sim::frontend& front) {
  for (const auto& found : front.functions()) {
    say(fmt::format("found {} {:04x}:{:04x}", pci::to_string(found.address), found.vendor, found.device));
    const auto real = real_address(found.address);
    if (!real) {
      return pci::fail(ENOENT, fmt::format("{} is in no vdev node", pci::to_string(found.address)));
    }
    platform::sim::driver driver{front, found.address};
    auto probed = what_.driver == config::guest_driver::nvme ? driver.probe_as_nvme() : driver.probe();
    // A bridge has no interrupt and needs no driver: the guest has seen it, and goes on. A disk without one is of no
    // use.
    const bool is_disk = what_.driver == config::guest_driver::nvme && front.uses_messages() &&
                         (found.header_type & pci::reg::header_layout) == 0;
    if (!probed && (is_disk || probed.error().error != ENODEV)) {
      return probed;
    }
    say(fmt::format("{} has {}, {} vectors, pirqs {}", pci::to_string(found.address), name_of(driver.kind()),
                    driver.pirqs().size(), fmt::join(driver.pirqs(), " ")));
    functions_.push_back({driver, found.address, *real});
  }
  return functions_.size() == what_.functions.size()
             ? pci::result<void>{}
             : pci::fail(ENODEV, fmt::format("found {} of {} functions", functions_.size(), what_.functions.size()));
}

pci::result<void> simulated_guest::interrupt(const bound_function& function, std::uint16_t entry,
                                             platform::sim::waiter& wait) {
  const auto before = function.driver.interrupts();
  const bool line = function.driver.kind() == kind::intx;
  if (line) {
    host_->xen().raise_intx(function.real);
  } else {
    host_->xen().raise(function.real, entry);
  }
  const bool came = wait.wait_until([&] { return function.driver.interrupts() > before; }, interrupt_patience);
  if (line) {
    host_->xen().lower_intx(function.real);
  }
  return came
             ? pci::result<void>{}
             : pci::fail(ETIMEDOUT, fmt::format("{}: interrupt {} did not come", pci::to_string(function.seen), entry));
}

pci::result<void> simulated_guest::take_interrupts(platform::sim::waiter& wait) {
  for (const auto& function : functions_) {
    for (unsigned turn = 0; turn < interrupts_each; ++turn) {
      for (std::size_t entry = 0; entry < function.driver.pirqs().size(); ++entry) {
        if (auto came = interrupt(function, static_cast<std::uint16_t>(entry), wait); !came) {
          return came;
        }
      }
    }
    say(fmt::format("{} raised {} interrupts, all received", pci::to_string(function.seen),
                    function.driver.interrupts()));
  }
  return {};
}

pci::result<void> simulated_guest::read_registers(platform::sim::frontend& front) {
  const auto begin = std::chrono::steady_clock::now();
  unsigned done = 0;
  for (; done < what_.operations && !stopping_; ++done) {
    const auto& function = front.functions()[done % front.functions().size()];
    const auto ids = static_cast<std::uint32_t>(function.device) << 16U | function.vendor;
    const auto answer = front.read(function.address, pci::reg::vendor_id, 4);
    if (!answer.good() || answer.value != ids) {
      return pci::fail(EIO, fmt::format("read {} of {} gave error {}, value {:08x}", done + 1,
                                        pci::to_string(function.address), answer.error, answer.value));
    }
  }
  const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begin;
  if (done > 0) {
    say(fmt::format("{} configuration reads, {:.1f} us each", done, taken.count() / done));
  }
  return {};
}

void simulated_guest::serve(platform::sim::frontend& front, platform::sim::waiter& wait) {
  auto seen = front.backend_state();
  while (!stopping_) {
    static_cast<void>(wait.wait_until([&] { return stopping_ || front.backend_state() != seen; }, attention));
    seen = front.backend_state();
    front.service();
  }
}

} // namespace daemon_program
