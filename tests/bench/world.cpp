// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/world.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <caf/scoped_actor.hpp>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "actors/runtime.hpp"
#include "bench/process.hpp"

namespace bench {
namespace {

template <class T>
void demand(const pci::result<T>& done) {
  if (!done) {
    throw std::runtime_error(pci::to_string(done.error()));
  }
}

/// A bus for 256 functions, from bus 1 on.
pci::sbdf address_of(unsigned index) {
  pci::sbdf address;
  address.bus = static_cast<std::uint8_t>(1 + index / 256);
  address.devfn = static_cast<std::uint8_t>(index % 256);
  return address;
}

class counting_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
  explicit counting_sink(std::shared_ptr<std::atomic<std::uint64_t>> lines) : lines_(std::move(lines)) {}

private:
  void sink_it_(const spdlog::details::log_msg&) override { ++*lines_; }
  void flush_() override {}
  std::shared_ptr<std::atomic<std::uint64_t>> lines_;
};

} // namespace

std::uint32_t guest::read_ids(std::uint8_t devfn) {
  pci::sbdf function;
  function.devfn = devfn;
  const auto answer = front.read(function, 0, 4);
  if (answer.timed_out) {
    throw std::runtime_error(fmt::format("domain {}: no answer in time", front.domain()));
  }
  return answer.good() ? answer.value : 0xffffffff;
}

world::world(unsigned guest_count, unsigned devices, unsigned spins)
    : host(platform::sim::clock::kind::real), devices_(devices) {
  const auto model = platform::sim::builtin_model("e1000e");
  demand(model);
  for (unsigned i = 0; i < guest_count * devices; ++i) {
    functions_.push_back(address_of(i));
    host.add_function(platform::sim::place(*model, functions_.back()));
  }
  for (unsigned i = 0; i < guest_count; ++i) {
    domains_.push_back(host.create_domain(fmt::format("guest-{}", i)));
    guests.push_back(std::make_unique<guest>(host, domains_.back(), spins));
    guests.back()->front.scan_on_connect(false);
  }
}

world::~world() = default;

void world::start_daemon() {
  start();
  attach();
}

void world::replace_daemon() {
  daemon_.reset();
  host.end_daemon();
  start();
}

std::size_t world::connected() {
  std::size_t count = 0;
  caf::scoped_actor self{daemon_->system()};
  self->request(daemon_->root(), caf::infinite, messages::status_atom_v)
      .receive(
          [&](const messages::overview& all) {
            count = static_cast<std::size_t>(std::ranges::count_if(all.domains, &messages::domain_status::connected));
          },
          [](caf::error& error) { throw std::runtime_error(to_string(error)); });
  return count;
}

void world::start() {
  actors::settings settings;
  settings.access_rate = pci::access_budget::most_rate; // what is measured is not to rest
  for (const auto& address : functions_) {
    settings.own(address);
  }
  const auto before = threads();
  auto started = actors::runtime::start(host, std::move(settings), {journal_});
  demand(started);
  daemon_ = std::move(*started);
  for (const auto& [address, held] : daemon_->hold_configured(false)) {
    demand(held);
  }
  const auto now = threads();
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                      std::inserter(daemon_threads, daemon_threads.end()));
  demand(daemon_->serve());
}

void world::attach() {
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    demand(host.toolstack_attach(domains_[i / devices_], functions_[i], true));
  }
}

void world::connect() {
  for (const auto& each : guests) {
    demand(each->front.connect());
  }
}

void world::run(std::size_t count, const std::function<void(guest&, std::size_t)>& life) {
  std::latch ready(static_cast<std::ptrdiff_t>(count));
  std::mutex lock;
  std::exception_ptr failed;
  std::vector<std::jthread> running;
  for (std::size_t i = 0; i < count; ++i) {
    running.emplace_back([&, i] {
      ready.arrive_and_wait();
      try {
        life(*guests[i], i);
      } catch (...) {
        const std::lock_guard hold(lock);
        failed = std::current_exception();
      }
    });
  }
  running.clear();
  if (failed) {
    std::rethrow_exception(failed);
  }
}

void world::list() {
  caf::scoped_actor self{daemon_->system()};
  self->request(daemon_->root(), caf::infinite, messages::status_atom_v)
      .receive([](const messages::overview&) {}, [](caf::error& error) { throw std::runtime_error(to_string(error)); });
}

log_counter::log_counter() : lines_(std::make_shared<std::atomic<std::uint64_t>>(0)) {
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::make_shared<counting_sink>(lines_)));
}

} // namespace bench
