// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulated_machine.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/lspci.hpp"

namespace daemon_program {
namespace {

namespace sim = platform::sim;

// Above where platform::sim::place puts BARs: 2048 functions have 1 MiB each from 40000000 on.
constexpr std::uint64_t first_shared_page = 0xc0000000;
constexpr std::uint64_t page_size = 0x1000;
constexpr std::uint64_t small_bar = 0x100;

/// The function of a dump that is meant: the one that is named, or has the address, or is the only one.
pci::result<sim::device_model> choose(std::vector<sim::dumped_function> all, const config::simulated_function& what) {
  const auto wanted = what.dump_address.value_or(what.address);
  const auto is_it = [&](const sim::dumped_function& one) { return one.model.address == wanted; };
  auto found = std::find_if(all.begin(), all.end(), is_it);
  if (found == all.end() && all.size() == 1 && !what.dump_address) {
    found = all.begin();
  }
  if (found == all.end()) {
    return pci::fail(ENODEV, fmt::format("{} has no function {}; name one of its {} with dump_address",
                                         what.dump->string(), pci::to_string(wanted), all.size()));
  }
  return std::move(found->model);
}

/// The first BAR that the function has not; bridges have two.
std::optional<std::size_t> free_bar(const sim::device_model& model) {
  const auto layout =
      std::to_integer<unsigned>(model.config[pci::reg::header_type]) & unsigned{pci::reg::header_layout};
  for (std::size_t i = 0; i < (layout == 0 ? pci::function::rom : 0); ++i) {
    const bool upper_half = i > 0 && (model.resources[i - 1].flags & pci::resource::memory_64) != 0;
    if (model.resources[i].size() == 0 && !upper_half) {
      return i;
    }
  }
  return std::nullopt;
}

/// Gives a function one BAR more. Without a free one it stays as it is.
void add_small_bar(sim::device_model& model, std::uint64_t start) {
  const auto index = free_bar(model);
  if (!index) {
    return;
  }
  model.resources[*index] = {start, start + small_bar - 1, pci::resource::memory};
  for (unsigned byte = 0; byte < 4; ++byte) {
    model.config[pci::reg::bar0 + 4 * *index + byte] = static_cast<std::byte>(start >> (8 * byte) & 0xff);
  }
}

bool resets_bus(pci::reset_method method) {
  return method == pci::reset_method::bus || method == pci::reset_method::cxl_bus;
}

} // namespace

pci::result<sim::device_model> model_of(const config::simulated_function& what) {
  auto model = what.model ? sim::builtin_model(config::to_string(*what.model))
                          : sim::load_lspci(*what.dump).and_then([&](std::vector<sim::dumped_function> all) {
                              return choose(std::move(all), what);
                            });
  if (!model) {
    return model;
  }
  auto placed = sim::place(std::move(*model), what.address);
  placed.irq = what.gsi;
  placed.level = what.level;
  return placed;
}

simulated_machine::simulated_machine(sim::host& host) : host_(&host) {
  host_->pci().before_reset([this](const pci::sbdf& address, pci::reset_method) { rest(address); });
}

std::vector<pci::failure> simulated_machine::build(const std::vector<config::simulated_function>& functions) {
  std::vector<pci::failure> wrong;
  for (const auto& function : functions) {
    auto model = model_of(function);
    if (model) {
      slots_.insert_or_assign(function.address, slot{function, std::move(*model)});
    } else {
      wrong.push_back(model.error());
    }
  }
  if (wrong.empty()) {
    share_pages();
    for (const auto& [address, what] : slots_) {
      put_in(what);
      set_resets(what);
    }
  }
  return wrong;
}

// A page of its own for each function that is named by page_of, with a small BAR of each that shares it.
void simulated_machine::share_pages() {
  std::map<pci::sbdf, std::uint64_t> next;
  for (auto& [address, what] : slots_) {
    const auto& owner = what.what.page_of;
    if (!owner) {
      continue;
    }
    auto& place = next[*owner];
    if (place == 0) {
      place = first_shared_page + next.size() * page_size;
      add_small_bar(slots_.at(*owner).model, place);
      place += small_bar;
    }
    add_small_bar(what.model, place);
    place += small_bar;
  }
}

void simulated_machine::put_in(const slot& what) {
  host_->add_function(what.model, what.what.driver, what.what.driver_uses_line);
}

void simulated_machine::set_resets(const slot& what) {
  if (!what.what.resets) {
    return;
  }
  const auto& address = what.what.address;
  host_->pci().take_resets(address);
  for (const auto method : *what.what.resets) {
    pci::reset_option option{method, {}};
    for (const auto& [other, ignored] : slots_) {
      if (resets_bus(method) && other != address && other.segment == address.segment && other.bus == address.bus) {
        option.hits.push_back(other);
      }
    }
    host_->pci().add_reset_option(address, std::move(option));
  }
}

bool simulated_machine::is_there(const pci::sbdf& address) const { return host_->xen().facts(address).has_value(); }

pci::result<void> simulated_machine::plug(const pci::sbdf& address) {
  const auto found = slots_.find(address);
  if (found == slots_.end()) {
    return pci::fail(ENODEV, fmt::format("there is no [[function]] {}", pci::to_string(address)));
  }
  if (is_there(address)) {
    return pci::fail(EEXIST, fmt::format("{} is plugged in already", pci::to_string(address)));
  }
  put_in(found->second);
  return {};
}

pci::result<void> simulated_machine::unplug(const pci::sbdf& address) {
  if (!host_->remove_function(address)) {
    return pci::fail(ENODEV, fmt::format("{} is not plugged in", pci::to_string(address)));
  }
  return {};
}

void simulated_machine::slow_down(const pci::sbdf& address, std::chrono::milliseconds access) {
  const std::lock_guard lock(mutex_);
  host_->xen().slow_down(address, hurries_ ? std::chrono::milliseconds{0} : access);
}

void simulated_machine::rest(const pci::sbdf& address) {
  const auto found = slots_.find(address);
  if (found != slots_.end()) {
    std::unique_lock lock(mutex_);
    hurried_.wait_for(lock, found->second.what.reset_time, [this] { return hurries_; });
  }
}

void simulated_machine::hurry() {
  const std::lock_guard lock(mutex_);
  hurries_ = true;
  for (const auto& [address, what] : slots_) {
    host_->xen().slow_down(address, std::chrono::milliseconds{0});
  }
  hurried_.notify_all();
}

} // namespace daemon_program
