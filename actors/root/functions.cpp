// SPDX-License-Identifier: GPL-2.0-or-later
// How functions are held and released, by command, at start or when they appear.
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/root/root.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {

using messages::function_state;

caf::error root_state::not_held(const pci::sbdf& address) const {
  const auto text = pci::to_string(address);
  const auto refused = refused_.find(address);
  return messages::to_error(
      {ENODEV, refused == refused_.end()
                   ? fmt::format("{} is not held: `pcibackctl hold {}` takes it from dom0", text, text)
                   : fmt::format("{} is not held: {}", text, refused->second.detail)});
}

pci::failure root_state::held_already(const pci::sbdf& address) {
  return {EEXIST, fmt::format("{} is held already", pci::to_string(address))};
}

// -- holding

caf::result<void> root_state::hold(const pci::sbdf& address, bool seize) {
  auto promise = self_->make_response_promise();
  begin_hold(address, seize, {}, [promise](const pci::result<void>& done) mutable { reply(promise, done); });
  return promise;
}

// A guest that runs may have the function, from a toolstack or from an earlier instance of the daemon: to scrub it
// would take the guest's interrupts away.
void root_state::begin_hold(const pci::sbdf& address, bool seize, const std::optional<pci::result<admission>>& known,
                            const hold_done& told) {
  const hold_done done = [all = all_, address, told](const pci::result<void>& is) {
    if (is) {
      all->failures->forget(address);
    } else if (is.error().error != EEXIST) {
      all->failures->note(address, all->host.time().now(), is.error().context, is.error().error);
    }
    told(is);
  };
  if (devices_.contains(address)) {
    return done(tl::unexpected(held_already(address)));
  }
  run_on<claim>(
      all_->store_worker, self_,
      [all = all_, address]() -> pci::result<claim> {
        auto found = look_for_claims(*all, address);
        const auto driver = noted_driver(all->host.xenstore(), address);
        if ((found.unclaimed || found.guest) && !driver.empty()) {
          all->host.pci().remember_driver(address, driver);
        }
        return found;
      },
      [this, address, seize, known, done](const pci::result<claim>& found) {
        if (!found) {
          return done(tl::unexpected(found.error()));
        }
        // Held already, without a word of it in the journal.
        if (found->guest && !stopping_ && !devices_.contains(address)) {
          const auto set = all_->configuration.now();
          const auto* wanted = set->named(address);
          inherit(address, wanted == nullptr ? settings::device{} : *wanted, *found->guest, std::nullopt);
        }
        if (!found->unclaimed) {
          return done(found->unclaimed);
        }
        if (known) {
          return admitted(address, seize, *known, done);
        }
        run_on_new_thread<admission>(
            *all_, self_, [all = all_, address] { return admit(all->host, *all->configuration.now(), address); },
            [this, address, seize, done](const pci::result<admission>& what) { admitted(address, seize, what, done); });
      });
}

void root_state::admitted(const pci::sbdf& address, bool seize, const pci::result<admission>& what,
                          const hold_done& done) {
  if (!what) {
    return done(tl::unexpected(what.error()));
  }
  if (devices_.contains(address)) {
    return done(tl::unexpected(held_already(address))); // meanwhile, by another command
  }
  if (!what->objection.empty()) {
    refuse(*what);
    return done(pci::fail(EPERM, fmt::format("{} must not be held: {}", pci::to_string(address), what->objection)));
  }
  if (const auto bounds = all_->bounds; devices_.size() >= bounds.functions()) {
    return done(pci::fail(ENFILE, fmt::format("{} is not held: it would be function number {} of the daemon's, and the "
                                              "{} files that it may have open are too few for that; raise LimitNOFILE "
                                              "of pcibackd.service",
                                              pci::to_string(address), devices_.size() + 1, bounds.descriptors())));
  }
  if (const auto child = held_virtual_function_of(address)) {
    return done(pci::fail(EBUSY, fmt::format("{} has a virtual function that is held, {}: it would go with its driver",
                                             pci::to_string(address), pci::to_string(*child))));
  }
  hold_now(address, seize, *what, done);
}

void root_state::hold_now(const pci::sbdf& address, bool seize, const admission& what, const hold_done& done) {
  refused_.erase(address);
  auto device = start_device(address, what.wanted);
  devices_.emplace(address, held{device, what.wanted, what.physical_function});
  self_->request(device, caf::infinite, messages::hold_atom_v, seize)
      .then(
          [this, address, done] {
            note_previous_driver(address, true);
            done({});
          },
          [done](caf::error& error) {
            done(tl::unexpected(messages::to_failure(error, "the function's actor ended")));
          });
}

// Shown beside those that are held, so that nobody looks for it in vain.
void root_state::refuse(const admission& what) {
  auto& shown = refused_[what.what.address];
  shown.address = what.what.address;
  shown.vendor = what.what.vendor;
  shown.device = what.what.device;
  shown.class_code = what.what.class_code;
  shown.state = function_state::refused;
  shown.detail = what.objection;
  all_->seen->events.tell({happening::refused, what.what.address, {}, {}, what.objection, {}});
}

std::optional<pci::sbdf> root_state::held_virtual_function_of(const pci::sbdf& address) const {
  for (const auto& [child, held] : devices_) {
    if (held.physical_function == address && !held.removed) {
      return child;
    }
  }
  return std::nullopt;
}

void root_state::note_previous_driver(const pci::sbdf& address, bool held) {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, address, held]() -> pci::result<void> {
        const auto driver = held ? all->host.pci().previous_driver(address) : std::string{};
        return held && driver.empty() ? pci::result<void>{} : note_driver(all->host.xenstore(), address, driver);
      },
      [](const pci::result<void>& noted) {
        if (!noted) {
          spdlog::warn("cannot record which driver a function goes back to: {}", pci::to_string(noted.error()));
        }
      });
}

caf::result<void> root_state::release(const pci::sbdf& address, bool probe) {
  const auto found = devices_.find(address);
  if (found == devices_.end()) {
    return not_held(address);
  }
  auto promise = self_->make_response_promise();
  self_->request(found->second.device, caf::infinite, messages::release_atom_v, probe)
      .then(
          [this, address, probe, promise]() mutable {
            if (probe) { // otherwise a toolstack does the rest, and reads the note for it
              note_previous_driver(address, false);
            }
            promise.deliver(caf::unit);
          },
          [promise](caf::error& error) mutable { promise.deliver(error); });
  return promise;
}

} // namespace actors
