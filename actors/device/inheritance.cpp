// SPDX-License-Identifier: GPL-2.0-or-later
// A function that a guest has from an earlier instance of the daemon: it is left alone but for its interrupt line,
// until its domain's actor takes it over, or that guest ends or is to give it up.
#include "actors/device/device.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"

namespace actors {

void device_state::inherit(messages::domain_id domain) {
  if (domain != messages::unknown_domain) {
    domain_ = domain;
  }
  detail_ = "an earlier instance gave it to its guest; it is left alone until that guest ends";
  inherited_ = all_->journal->find(address_);
  if (inherited_) {
    inherited_->vectors = all_->journal->own_vectors(*inherited_);
  }
  target_ = inherited_ ? inherited_->target : std::nullopt;
  if (!inherited_) {
    detail_ = "a guest has it that the journal does not mention; it is left alone until that guest ends";
    apply(event::inherit_unknown);
    return;
  }
  if (inherited_->domain != domain_) { // the journal is out of date: those are another guest's things
    inherited_->domain = domain_;
    inherited_->vectors.clear();
    inherited_->granted = false;
    inherited_->target = target_ = std::nullopt;
    static_cast<void>(all_->journal->note(*inherited_));
  }
  apply(event::inherit, [this] {
    if (!domain_) {
      return;
    }
    hardware::count_use(*all_->functions, *domain_, inherited_->function);
    if (!was_removed_meanwhile()) {
      look_after();
    }
  });
}

// Nobody was there to end the guest's use of it before it went.
bool device_state::was_removed_meanwhile() {
  const auto lost = mapped_vectors();
  if (lost == 0) {
    return false;
  }
  const auto driver = all_->host.pci().driver(address_);
  const bool there = driver || driver.error().error != ENODEV; // any other failure may be of the moment
  if (there && all_->host.guards().state(address_) != pci::guard_state::let_go) {
    return false;
  }
  lose(event::removed_in_use, lost);
  return true;
}

// Since the end of the earlier instance dom0's handler has masked the function's INTx for good; and if the keeper of
// the guards ended as well, uio was closed, which takes bus mastering from the function.
void device_state::look_after() {
  looking_after_ = true;
  on_hardware<std::shared_ptr<hardware>>(
      [all = all_, record = *inherited_, policy = policy_.in_force()] {
        return hardware::look_after(*all, record, policy);
      },
      [this](pci::result<std::shared_ptr<hardware>> found) {
        looking_after_ = false;
        looked_after(std::move(found));
        waiting_promise_ = {};
        if (const auto next = std::exchange(waiting_, nullptr)) {
          next();
        }
      });
}

// What did not succeed when the daemon started, at the next wish to take the function over: those are few.
void device_state::look_after_again() {
  if (is(phase::inherited) && std::exchange(not_looked_after_, false)) {
    look_after();
  }
}

void device_state::looked_after(pci::result<std::shared_ptr<hardware>> found) {
  if (!is(phase::inherited)) {
    return;
  }
  if (!found) {
    not_looked_after_ = true;
    // Unlimited: when the daemon starts, and a few times more.
    spdlog::error("{}: cannot take over what its guest uses: {}", pci::to_string(address_),
                  pci::to_string(found.error()));
    return;
  }
  living_ = std::move(*found);
  ++lease_.number;
  serving_ = std::make_shared<serving>(living_, *domain_, serving_log_, note_changes());
  all_->events.route_line(address_, self_, line_);
  line_->resume(serving_, policy_.in_force().line, inherited_->acknowledging);
  look_at_line();
}

void device_state::adopt(const messages::lease_request& request, const caf::actor_addr& holder,
                         caf::response_promise promise) {
  if (looking_after_ && !waiting_) {
    waiting_promise_ = promise;
    waiting_ = [this, request, holder, promise] { lease_now(request, holder, promise); };
    return;
  }
  const auto done = living_ ? apply(event::adopt, [&] { take_over(request, holder, promise); }) : effects{};
  if (!done.contains(effect::begin)) {
    promise.deliver(messages::to_error(refusal("leased")));
  }
}

// The guest's time goes on as if it had been this daemon's from the beginning.
void device_state::take_over(const messages::lease_request& request, const caf::actor_addr& holder,
                             caf::response_promise promise) {
  hardware_ = std::exchange(living_, nullptr);
  if (inherited_->permissive) {
    policy_.permit_all();
  }
  serving_->exclusively([this](hardware& device) { device.set_policy(policy_.in_force()); });
  inherited_.reset();
  detail_.clear();
  target_ = request.target;
  guest_ = request.guest;
  static_cast<void>(note());
  // Unlimited: once when the daemon starts.
  spdlog::info("{}: domain {} has it from an earlier instance, and is served again", pci::to_string(address_),
               *domain_);
  hand_out(holder, promise);
  // What its guest does not wait for.
  on_hardware<std::vector<std::string>>(
      [all = all_, function = hardware_->description()]() -> pci::result<std::vector<std::string>> {
        return hardware::oddities(all->host, function);
      },
      [device = hardware_](const pci::result<std::vector<std::string>>& notes) {
        device->set_notes(notes.value_or(std::vector<std::string>{}));
      });
}

void device_state::end_inheritance() {
  if (!living_) {
    return;
  }
  ++lease_.number; // a holder that is bound meanwhile is nobody's wish any more
  all_->events.unroute_line(address_);
  line_->end();
  end_serving();
  living_.reset();
}

} // namespace actors
