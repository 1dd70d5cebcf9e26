// SPDX-License-Identifier: GPL-2.0-or-later
// The steps of a scrub: how a guest's hold on a function ends, and how it is made and shown to be as before.
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "actors/device/guest_pirqs.hpp"
#include "actors/device/hardware.hpp"
#include "pci/config_space/answered.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"

namespace actors {
namespace {

// After D3hot; see pci::wake.
constexpr auto wake_time = std::chrono::milliseconds(10);

std::vector<pci::difference> essential_of(std::vector<pci::difference> all) {
  std::erase_if(all, [](const pci::difference& each) { return !each.essential; });
  return all;
}

} // namespace

pci::result<void> hardware::quiesce() {
  ++guest_number_; // nothing binds it to another holder for the last guest's sake from here on
  return stop_mastering();
}

// Memory decode is needed by the unmaps that follow, and bus mastering ends first: no DMA and no message after this
// write. A bridge's is what carries the DMA of all functions below it, dom0's among them.
pci::result<void> hardware::stop_mastering() {
  const auto off = description_.header_layout() == 0 ? pci::reg::command_master : std::uint16_t{0};
  return pci::update_control(*port_, pci::reg::command, off, pci::reg::command_memory).map([](std::uint32_t) {});
}

pci::result<void> hardware::end_messages() {
  pci::result<void> ended;
  if (domain_) {
    guest_pirqs pirqs(host_.xen(), *domain_, description_.address);
    ended = interrupts_.end(*port_, pirqs, true);
    registry_->vectors.set(*domain_, description_.address, interrupts_.vectors().size());
  }
  space_.set_interrupt_mode(pci::interrupt_mode::intx);
  auto off = pci::turn_messages_off(description_, *port_);
  return ended ? off : ended;
}

pci::result<void> hardware::restore() {
  if (const auto slept = pci::wake(description_, *port_); slept && *slept) {
    std::this_thread::sleep_for(wake_time);
  }
  static_cast<void>(pci::turn_messages_off(description_, *port_)); // before their addresses change
  auto restored = pci::restore(description_, *port_, wrote_freely_);
  auto prepared = space_.prepare(*port_);
  if (restored && prepared) {
    rests_ = stays_asleep_ = false;
  }
  if (restored && prepared && was_reset()) {
    const auto found = pci::compare(description_, *port_).value_or(std::vector<pci::difference>{});
    return pci::fail(EIO, fmt::format("{} does not keep its configuration: {}", pci::to_string(description_.address),
                                      pci::describe(description_, essential_of(found))));
  }
  return restored ? prepared : restored;
}

pci::result<void> hardware::perform(pci::scrub_step step) {
  switch (step) {
  case pci::scrub_step::quiesce:
    return quiesce();
  case pci::scrub_step::end_messages:
    return end_messages();
  case pci::scrub_step::revoke:
    return revoke();
  case pci::scrub_step::withdraw:
    return withdraw();
  case pci::scrub_step::await_pirqs:
    return await_pirqs();
  case pci::scrub_step::reset:
    return reset();
  case pci::scrub_step::restore:
    return restore();
  case pci::scrub_step::renew_msix:
    return renew_messages();
  case pci::scrub_step::quarantine:
    return quarantine();
  case pci::scrub_step::verify:
    return verify();
  case pci::scrub_step::done:
  case pci::scrub_step::failed:
    break;
  }
  return {};
}

// Hardware that does not obey is dom0's to see; pirqs, frames and the assignment would be the guest's in dom0's hands.
pci::result<void> hardware::take_from_guest() {
  static_cast<void>(quiesce());
  auto outcome = end_messages();
  if (interrupts_.vectors().empty()) {
    outcome = {};
  }
  for (const auto& taken : {revoke(), withdraw()}) {
    if (outcome && !taken) {
      outcome = taken;
    }
  }
  return outcome;
}

// The whole space, so that nothing of the last guest is handed on unseen. What does not matter to the next one is told.
pci::result<void> hardware::verify() {
  differences_.clear();
  if (auto quiet = pci::check_quiet(description_, *port_); !quiet) {
    return quiet;
  }
  // Its guest's toolstack may wait for this, and a thousand accesses are slow where each is emulated.
  const auto now = host_.pci().describe(description_.address).value_or(pci::function{});
  const auto found = pci::compare(description_, *port_, now.config);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (const auto essential = essential_of(*found); !essential.empty()) {
    return pci::fail(EIO, pci::describe(description_, essential));
  }
  differences_ = pci::describe(description_, *found);
  return {};
}

std::string hardware::note(bool since) const {
  const auto unreset = since ? std::string{} : no_reset_;
  return unreset + (unreset.empty() || differences_.empty() ? "" : "; ") + differences_;
}

} // namespace actors
