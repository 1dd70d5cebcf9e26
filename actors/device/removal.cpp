// SPDX-License-Identifier: GPL-2.0-or-later
// A removal of the function from dom0. The kernel tells Xen of it before anybody hears of `remove`, and Xen destroys
// the interrupts that a guest still has; whatever touches one afterwards stops the host. So the removal is held up
// (platform::removal_guards) until the guest has let go, and what is done meanwhile is done here, in this order: its
// pirqs, release_msix, the guard.
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/device/device.hpp"

namespace actors {

using messages::function_state;

namespace {

using namespace std::chrono_literals;

// Longer than a frontend is waited for, so that this is for the case that the guest's own actor does not come to an
// end; well below the time after which the kernel calls a task hung.
constexpr auto guest_patience = 15s;
// A pirq that Xen does not unmap now it may unmap later.
constexpr auto retry_interval = 1s;
// From the word of a driver's end to the end of the removal that it is perhaps part of.
constexpr auto removal_time = 1s;

} // namespace

void device_state::removal_waits() {
  if (life_.removing() || life_.removed()) {
    return;
  }
  // Unlimited: the host's doing, as all here.
  spdlog::warn("{} is being removed from dom0{}", pci::to_string(address_),
               domain_ ? fmt::format(", which waits until domain {} has let go of it", *domain_) : "");
  if (hardware_) {
    hardware_->set_leaving(true);
  }
  apply(event::removal_waits);
  if (!life_.busy()) {
    go_on_with_removal();
  }
}

// The function is settled: nothing else is under way.
void device_state::go_on_with_removal() {
  if (!hold_is_lost()) {
    apply(event::removal_goes_on);
  }
}

// When the hardware does not answer any more, its guest's driver can do nothing with it either.
void device_state::await_guest() {
  if (!hardware_->answers()) {
    apply(event::unanswered);
  } else {
    self_->delayed_send(self_, guest_patience, messages::waits_atom_v, lease_.number);
  }
}

void device_state::guest_time_over(std::uint64_t lease) {
  if (!life_.removing() || life_.busy() || lease != lease_.number) {
    return;
  }
  if (is(phase::leased)) {
    // Unlimited: once for each removal.
    spdlog::warn("{}: domain {} does not let go of it, and dom0 removes it: it is taken by force",
                 pci::to_string(address_), *domain_);
    return take_back(event::guest_time_over);
  }
  go_on_with_removal(); // again
}

// Nobody has it any more, and the books say whether a pirq is left.
void device_state::let_removal_go() {
  on_hardware<void>([device = hardware_] { return device->let_removal_go(); },
                    [this](const pci::result<void>& done) { removal_let_go(done); });
}

void device_state::removal_let_go(const pci::result<void>& done) {
  if (!done && !life_.removed()) {
    detail_ = fmt::format("its removal from dom0 waits: {}", pci::to_string(done.error()));
    error_log_.write(spdlog::level::err, "{}: {}", pci::to_string(address_), detail_);
    apply(event::removal_kept);
    return reply_all(until_settled_, done);
  }
  if (const auto lost = mapped_vectors(true); lost != 0) { // it went all the same
    return lose(event::hold_lost, lost);
  }
  apply(done ? event::removal_let_go : event::removal_kept);
}

void device_state::await_removal_retry() {
  self_->delayed_send(self_, retry_interval, messages::waits_atom_v, lease_.number);
}

// Nobody but the journal knows that guest's pirqs; where it is silent, that guest has ended.
void device_state::end_inherited() {
  on_hardware<void>(
      [all = all_, what = inherited_, address = address_]() -> pci::result<void> {
        if (what) {
          return hardware::end_inherited(*all, *what);
        }
        all->host.guards().release(address);
        return {};
      },
      [this](const pci::result<void>& done) {
        if (done && inherited_) {
          inherited_->vectors.clear();
          inherited_->mode = pci::interrupt_mode::intx;
          static_cast<void>(all_->journal->note(*inherited_));
        }
        removal_let_go(done);
      });
}

// -- a driver was unbound

// A removal, or the driver alone: that tells in a moment. Without a guard nothing can be done before `remove` comes.
void device_state::unbound(bool some_time_ago) {
  if (life_.hardware() != pci::function_life::presence::there || !hardware_) {
    return;
  }
  if (!some_time_ago) {
    self_->delayed_send(self_, removal_time, messages::unbound_atom_v, true);
    return;
  }
  on_hardware<bool>([device = hardware_] { return device->hold_again(); },
                    [this](const pci::result<bool>& done) { held_again(done); });
}

// Somebody has unbound the driver, and did not remove the function.
void device_state::held_again(const pci::result<bool>& done) {
  if (done && *done) {
    // Unlimited: an administrator's doing.
    spdlog::warn("{}: somebody has unbound its driver; it is held again", pci::to_string(address_));
  }
  const bool there = life_.hardware() == pci::function_life::presence::there;
  if (done || life_.busy() || !there || done.error().error == ENODEV) {
    return;
  }
  // Unlimited: an administrator's doing.
  spdlog::error("{} is lost to dom0: {}", pci::to_string(address_), pci::to_string(done.error()));
  if (state() != function_state::leased && state() != function_state::granted) {
    detail_ = pci::to_string(done.error());
  }
  take_back(event::driver_lost);
}

// -- what could not be held up

void device_state::lose(event how, std::size_t vectors) {
  stranded_guest_ = guest_of_vectors();
  stranded_vectors_ = vectors;
  apply(how);
}

// Nothing of the function is touched any more: neither an unmap of its pirqs nor the guest's own closing of its event
// channels would the host survive. A guest that is paused closes none.
void device_state::pause_guest() {
  const auto domain = stranded_guest_;
  detail_ = fmt::format("removed from dom0 while domain {} used {} of its interrupts, which Xen has destroyed: the "
                        "domain is paused and must be neither unpaused nor destroyed, which would stop the whole host; "
                        "end the other guests in order and restart the host",
                        domain, stranded_vectors_);
  if (auto paused = domain == 0 ? pci::result<void>{} : all_->host.xen().pause(domain); !paused) {
    // Unlimited: the guest does nothing any more.
    spdlog::critical("{}", pci::to_string(paused.error()));
  }
  // Unlimited: the guest does nothing any more.
  spdlog::critical("{}: {}", pci::to_string(address_), detail_);
}

// The removal does not wait any more, and so nothing may be unmapped any more either.
bool device_state::hold_is_lost() {
  const auto lost = mapped_vectors();
  if (life_.hardware() != pci::function_life::presence::going || lost == 0 ||
      all_->host.guards().state(address_) == pci::guard_state::holding) {
    return false;
  }
  lose(event::hold_lost, lost);
  return true;
}

// A scrub that failed has left some, perhaps, of a guest that has the function no more.
messages::domain_id device_state::guest_of_vectors() const {
  const auto last = hardware_ ? hardware_->record().domain : std::nullopt;
  return domain_.value_or(last.value_or(0));
}

// Vectors that Xen loses with the function. What a job has the hardware for may change them until it is over.
std::size_t device_state::mapped_vectors(bool job_over) const {
  if (inherited_ && !hardware_) {
    return inherited_->vectors.size();
  }
  if (serving_) {
    return serving_->exclusively([](const hardware& device) { return device.interrupts().vectors().size(); });
  }
  return hardware_ && (job_over || !life_.busy()) ? hardware_->interrupts().vectors().size() : 0;
}

} // namespace actors
