// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/assignments.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/domain_ids.hpp"
#include "actors/jobs.hpp"
#include "actors/root/attachment.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/protocol/xenbus.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

// A guest that reboots comes back before the functions of its earlier life are free: each may take a reset's minute.
constexpr auto look_interval = 100ms;
constexpr auto wait_limit = 90s;

} // namespace

std::vector<guest> list_guests(platform::store& store) {
  std::vector<guest> found;
  for (const auto& entry : store.list(pci::paths::domains).value_or(std::vector<std::string>{})) {
    const auto domain = pci::parse_number(entry, largest_domain);
    if (!domain || *domain == 0 ||
        !store.read(pci::paths::home(static_cast<messages::domain_id>(*domain), pci::node::domid))) {
      continue;
    }
    const auto id = static_cast<messages::domain_id>(*domain);
    found.push_back({.domain = id, .names = names_of(store, id)});
  }
  return found;
}

std::vector<pci::sbdf> assigned_to(const settings& what, const guest_names& who) {
  std::vector<pci::sbdf> devices;
  for (const auto& each : what.assignments) {
    if (is_called(who, each.domain)) {
      devices.insert(devices.end(), each.devices.begin(), each.devices.end());
    }
  }
  return devices;
}

void assigner_state::open(environment_ptr all, messages::root_actor root, guest who, std::vector<pci::sbdf> devices) {
  all_ = std::move(all);
  root_ = std::move(root);
  who_ = std::move(who);
  left_ = std::move(devices);
  std::reverse(left_.begin(), left_.end());
  deadline_ = all_->host.time().now() + wait_limit;
  look();
}

void assigner_state::next() {
  left_.pop_back();
  deadline_ = all_->host.time().now() + wait_limit;
  look();
}

// The toolstack may have given it to this very guest already: pci= in its configuration, or a daemon that starts again.
void assigner_state::look() {
  if (left_.empty() || gone(*all_, who_.domain)) {
    self_->quit();
    return;
  }
  run_on<std::optional<messages::domain_id>>(
      all_->store_worker, self_,
      [all = all_, address = left_.back()]() -> pci::result<std::optional<messages::domain_id>> {
        return claimed_by(all->host.xenstore(), address);
      },
      [this](const pci::result<std::optional<messages::domain_id>>& owner) {
        if (owner && *owner == who_.domain) {
          return next();
        }
        find();
      });
}

void assigner_state::find() {
  self_->request(root_, caf::infinite, messages::find_atom_v, left_.back())
      .then(
          [this](messages::device_actor device) {
            self_->request(device, caf::infinite, messages::status_atom_v)
                .then(
                    [this](const messages::function_status& status) { looked(status); },
                    [this](caf::error& error) { give_up(messages::to_failure(error, "the function's actor ended")); });
          },
          [this](caf::error& error) { give_up(messages::to_failure(error, "the daemon is stopping")); });
}

void assigner_state::looked(const messages::function_status& status) {
  if (!status.domain || *status.domain == who_.domain) {
    return attach();
  }
  if (gone(*all_, *status.domain) && all_->host.time().now() < deadline_) {
    self_->delayed_send(self_, look_interval, messages::wait_atom_v);
    return;
  }
  give_up({EBUSY, fmt::format("domain {} has it", *status.domain)});
}

void assigner_state::attach() {
  const auto address = left_.back();
  self_
      ->request(self_->spawn(attachment, all_, root_), caf::infinite, messages::attach_atom_v, who_.domain, address,
                messages::attach_options{})
      .then(
          [this, address](const pci::sbdf& seen) {
            spdlog::info("{} is assigned to {} (domain {}), which sees it at {}", pci::to_string(address),
                         who_.names.name, who_.domain, pci::to_string(seen));
            next();
          },
          [this](caf::error& error) { give_up(messages::to_failure(error, "the attachment ended")); });
}

void assigner_state::give_up(const pci::failure& why) {
  if (gone(*all_, who_.domain)) {
    self_->quit();
    return;
  }
  if (why.error != ENODEV) {
    all_->failures->note(left_.back(), all_->host.time().now(), why.context, why.error);
  }
  spdlog::error("{} is assigned to {}, but could not be given to domain {}: {}", pci::to_string(left_.back()),
                who_.names.name, who_.domain, pci::to_string(why));
  next();
}

assigner_actor::behavior_type assigner(assigner_state::self_pointer self, environment_ptr all,
                                       messages::root_actor root, guest who, std::vector<pci::sbdf> devices) {
  behave(self);
  self->seen().is("assigner", fmt::format("{} ({})", who.names.name, who.domain));
  self->seen().is_passing();
  auto* state = &self->state;
  state->open(std::move(all), std::move(root), std::move(who), std::move(devices));
  return {[state](messages::wait_atom) { state->look(); }};
}

} // namespace actors
