// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/drain.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "actors/jobs.hpp"
#include "actors/root/attachment.hpp"

namespace actors {

void drain_state::open(environment_ptr all, messages::root_actor root) {
  all_ = std::move(all);
  root_ = std::move(root);
}

caf::result<void> drain_state::drain(const pci::sbdf& address) {
  promise_ = self_->make_response_promise();
  choose([address](const messages::function_status& function) { return function.address == address; });
  return promise_;
}

caf::result<void> drain_state::drain(messages::domain_id domain) {
  promise_ = self_->make_response_promise();
  choose([domain](const messages::function_status& function) {
    return function.domain == domain || function.target == domain; // a stub domain has what is its target's
  });
  return promise_;
}

template <class Chosen>
void drain_state::choose(Chosen chosen) {
  self_->request(root_, caf::infinite, messages::status_atom_v)
      .then(
          [this, chosen](const messages::overview& all) {
            for (const auto& function : all.functions) {
              if (function.state == messages::function_state::inherited && !function.domain && chosen(function)) {
                remember(
                    {EBUSY,
                     fmt::format(
                         "Xen says that {} has a guest, but not which one: it is taken back when that guest has ended",
                         pci::to_string(function.address))});
              }
              if (!function.domain || !chosen(function)) {
                continue;
              }
              // A stub domain can be cut off from the function; a device model in dom0 goes on with it.
              if (function.state == messages::function_state::leased && function.target == function.domain) {
                remember({EOPNOTSUPP, fmt::format("{} has {}, and its device model in dom0 would go on using it: use "
                                                  "`pcibackd-with-sysfs xl pci-detach {} {}`",
                                                  function.guest, pci::to_string(function.address), *function.domain,
                                                  pci::to_string(function.address))});
                continue;
              }
              left_.push_back({*function.domain, function.address});
            }
            next();
          },
          [this](caf::error& error) {
            remember(messages::to_failure(error, "the daemon is stopping"));
            next();
          });
}

// One after the other: a guest can be in one reconfiguration at a time.
void drain_state::next() {
  if (left_.empty()) {
    reply(promise_, outcome_);
    return self_->quit();
  }
  const auto what = left_.back();
  left_.pop_back();
  auto attachment = self_->spawn(actors::attachment, all_, root_);
  self_->request(attachment, caf::infinite, messages::drain_atom_v, what.domain, what.address)
      .then([this] { next(); },
            [this](caf::error& error) {
              remember(messages::to_failure(error, "the command's actor ended"));
              next();
            });
}

void drain_state::remember(const pci::failure& why) {
  if (outcome_) {
    outcome_ = tl::unexpected(why);
  }
}

drain_actor::behavior_type drain(drain_state::self_pointer self, environment_ptr all, messages::root_actor root) {
  behave(self);
  self->seen().is("drain");
  self->seen().is_passing();
  auto* state = &self->state;
  self->monitor(root);
  self->set_down_handler([self](caf::down_msg&) { self->quit(); }); // the daemon stops
  state->open(std::move(all), std::move(root));
  return {
      [state](messages::drain_atom, const pci::sbdf& address) { return state->drain(address); },
      [state](messages::drain_atom, messages::domain_id domain) { return state->drain(domain); },
  };
}

} // namespace actors
