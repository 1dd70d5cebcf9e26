// SPDX-License-Identifier: GPL-2.0-or-later
// How a function goes back to dom0.
#include <cerrno>

#include <fmt/format.h>

#include "actors/device/device.hpp"
#include "actors/jobs.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {

using messages::function_state;

caf::result<void> device_state::release(bool probe) {
  const auto answer = life_.answer(event::release);
  if (answer.contains(effect::end)) { // what is at the address now, if anything, is another function
    apply(event::release);
    return {};
  }
  if (!answer.contains(effect::begin)) {
    return messages::to_error(refusal("released"));
  }
  for (const auto& refused : {reserved("released", {}), reached_by_guests()}) {
    if (refused) {
      return messages::to_error(*refused);
    }
  }
  // It could not be taken from the guest of an earlier instance, which may live on.
  if (!hardware_ && inherited_ && inherited_->domain && !gone(*all_, *inherited_->domain)) {
    return messages::to_error(
        {EBUSY, fmt::format("{} cannot be released: domain {} still has it; `pcibackctl retry {}` "
                            "takes it back",
                            pci::to_string(address_), *inherited_->domain, pci::to_string(address_))});
  }
  auto promise = self_->make_response_promise();
  if (use([this, probe, promise] { release_now(probe, promise); })) {
    release_now(probe, promise);
  }
  return promise;
}

// A guest that Xen still has it with would go on using it beside dom0's driver.
void device_state::release_now(bool probe, caf::response_promise promise) {
  const auto done = apply(event::release, [this, probe, promise] {
    is(phase::withdrawing) ? withdraw(probe, promise) : give_back(probe, promise);
  });
  if (done.contains(effect::end)) {
    promise.deliver(caf::unit);
  } else if (!done.contains(effect::begin)) {
    refuse(promise, refusal("released"));
  }
}

void device_state::withdraw(bool probe, caf::response_promise promise) {
  if (!hardware_->last_guest()) {
    return withdrawn({}, probe, promise);
  }
  on_hardware<void>([device = hardware_] { return device->take_from_guest(); },
                    [this, probe, promise](const pci::result<void>& taken) { withdrawn(taken, probe, promise); });
}

void device_state::withdrawn(const pci::result<void>& taken, bool probe, caf::response_promise promise) {
  if (!taken && taken.error().error != ENODEV) {
    promise.deliver(messages::to_error(
        {EBUSY, fmt::format("{} cannot be released: its last guest still has it ({}); `pcibackctl retry {}` "
                            "tries again, and ending that guest frees it in any case",
                            pci::to_string(address_), pci::to_string(taken.error()), pci::to_string(address_))}));
    apply(event::not_withdrawn);
    return;
  }
  const auto done = apply(event::withdrawn, [this, probe, promise] { give_back(probe, promise); });
  if (done.contains(effect::begin)) {
    return;
  }
  // What has vanished nobody has.
  is(phase::ended) ? promise.deliver(caf::unit) : release_now(probe, promise);
}

// A toolstack that hands it out at this moment says so before it gives anything.
void device_state::give_back(bool probe, caf::response_promise promise) {
  on_hardware<give_back_outcome>(
      [all = all_, address = address_, device = hardware_,
       reference = inherited_ ? inherited_->function : pci::function{}, probe]() -> pci::result<give_back_outcome> {
        using claimant = std::optional<messages::domain_id>;
        const auto last = device ? device->last_guest() : std::nullopt;
        const auto next = with_sure_reads(all->host.xenstore(), [&address](platform::store& store) {
          return pci::result<claimant>(claimed_by(store, address));
        });
        if (!next) {
          return give_back_outcome{.why = next.error(), .kept = true};
        }
        if (*next && *next != last) {
          return give_back_outcome{.claimant = *next};
        }
        const auto done = device ? device->release(probe) : hardware::give_back(all->host, reference, probe);
        return done ? give_back_outcome{}
                    : give_back_outcome{.why = done.error(), .kept = device && device->bind_again()};
      },
      [this, promise](const pci::result<give_back_outcome>& done) {
        given_back(done ? *done : give_back_outcome{.why = done.error()}, promise);
      });
}

void device_state::given_back(const give_back_outcome& done, caf::response_promise promise) {
  if (const auto next = done.claimant) {
    promise.deliver(
        messages::to_error({EBUSY, fmt::format("{} cannot be released: it is being given to domain {}; `xl "
                                               "pci-detach {} {}` takes it from that guest",
                                               pci::to_string(address_), *next, *next, pci::to_string(address_))}));
    apply(event::claimed);
    return;
  }
  // What has vanished from the host meanwhile, and nobody has told, is released by that.
  const bool released = !done.why || done.why->error == ENODEV;
  if (released && state() != function_state::gone) {
    all_->journal->forget(address_);
  }
  reply(promise, released ? pci::result<void>{} : tl::unexpected(*done.why));
  apply(!released && done.kept ? event::not_given_back : event::given_back);
}

} // namespace actors
