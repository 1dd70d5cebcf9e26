// SPDX-License-Identifier: GPL-2.0-or-later
// How a function is taken from dom0, or found with a guest of an earlier instance, what is noted of it, and how dom0
// gets it back.
#include <cerrno>

#include <spdlog/spdlog.h>

#include "actors/device/hardware.hpp"
#include "pci/config_space/answered.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/config_space/usable.hpp"
#include "pci/errata.hpp"

namespace actors {
namespace {

/// The same card in the same place: all that it cannot be told to be otherwise.
bool is_same(const pci::function& a, const pci::function& b) {
  return a.vendor == b.vendor && a.device == b.device && a.class_code == b.class_code && a.resources == b.resources &&
         a.physical_function == b.physical_function && a.config.size() == b.config.size();
}

/// Out of quarantine it sends to dom0's memory, wherever a guest has told it to (XSA-302): also one that could not be
/// scrubbed, or that was quiet when it was.
void stop_dma(platform::host& host, const pci::function& reference) {
  if (reference.header_layout() != 0) { // a bridge's is what carries that of others
    return;
  }
  if (const auto port = host.pci().open_config(reference.address)) {
    static_cast<void>(pci::update_control(**port, pci::reg::command, pci::reg::command_master, 0));
  }
}

} // namespace

pci::result<std::shared_ptr<hardware>> hardware::take(const environment& all, const pci::sbdf& address,
                                                      const pci::policy& policy, bool seize) {
  auto& host = all.host;
  host.lines().ignore(address); // whatever an earlier instance has left of it
  auto before = all.journal->find(address);
  const auto driver = host.pci().driver(address).value_or(std::string{});
  const auto holder = before ? before->holder : platform::holder::stub;
  if (auto held = host.pci().hold(address, holder, seize); !held) {
    return tl::unexpected(held.error());
  }
  // Not back to dom0's driver while it is as a guest left it, or while some guest still has vectors of it.
  const auto fail = [&](const pci::failure& why) {
    if (!before && why.error != EBUSY) {
      static_cast<void>(host.pci().release(address));
    }
    return tl::unexpected(why);
  };
  auto description = host.pci().describe(address);
  if (!description) {
    return fail(description.error());
  }
  if (description->irq != pci::connected_line(description->irq)) {
    // Unlimited: once when it is held.
    spdlog::info("{} has no interrupt line that a guest could use: the host says {}", pci::to_string(address),
                 description->irq);
    description->irq = 0;
  }
  auto port = host.pci().open_config(address);
  if (!port) {
    return fail(port.error());
  }
  if (before && !is_same(before->function, *description)) {
    // Unlimited: once when it is held.
    spdlog::warn("{} is not the function that was held there before: what was known of that one is dropped",
                 pci::to_string(address));
    before.reset();
  }
  // What a guest has had in its hands says nothing of how the function was before.
  before ? (void)(description->config = before->function.config) : pci::make_reference(*description);
  auto space = pci::space::build(*description, policy);
  if (!space) {
    return fail(space.error());
  }
  std::shared_ptr<hardware> taken(
      new hardware(all, std::move(*description), std::move(*port), std::move(*space), holder));
  taken->policy_ = policy;
  taken->previous_driver_ = before ? before->previous_driver : platform::is_holder(driver) ? std::string{} : driver;
  if (before && before->domain && !gone(all, *before->domain)) {
    before->vectors = all.journal->own_vectors(*before);
  }
  if (auto ready = taken->get_ready(before); !ready) {
    return fail(ready.error());
  }
  all.journal->note(taken->record());
  return taken;
}

pci::result<std::shared_ptr<hardware>> hardware::look_after(const environment& all, const function_record& before,
                                                            const pci::policy& policy) {
  const auto address = before.function.address;
  const auto driver = all.host.pci().driver(address);
  if (!driver) {
    return tl::unexpected(driver.error());
  }
  auto port = all.host.pci().open_config(address);
  if (!port) {
    return tl::unexpected(port.error());
  }
  auto space = pci::space::build(before.function, policy);
  if (!space) {
    return tl::unexpected(space.error());
  }
  const auto holder = *driver == driver_name(platform::holder::uio) ? platform::holder::uio : platform::holder::stub;
  std::shared_ptr<hardware> found(new hardware(all, before.function, std::move(*port), std::move(*space), holder));
  found->previous_driver_ = before.previous_driver;
  found->policy_ = policy;
  found->line_ = found->look_at_line();
  found->open_physical_function();
  found->msix_ = platform::msix_function::seen_in(before.function);
  found->adopt(before);
  pci::guest_state recorded;
  recorded.command = before.command;
  recorded.decoding = before.decoding;
  const auto last = before.domain ? all.journal->row(address).state_of(*before.domain).value_or(recorded) : recorded;
  found->space_.adopt(last);
  found->space_.set_interrupt_mode(before.mode);
  if (holder == platform::holder::uio && (last.command & pci::reg::command_master) != 0) {
    if (auto mastering = found->set_command(pci::reg::command_master, 0); !mastering) {
      return tl::unexpected(mastering.error());
    }
  }
  return found;
}

pci::result<void> hardware::get_ready(const std::optional<function_record>& before) {
  for (const auto& quirk : space_.refused_quirks()) {
    // Unlimited: once when it is held.
    spdlog::warn("{}: the quirk at {:x} is not used: it is malformed or covers a register with a rule of its own",
                 pci::to_string(description_.address), quirk.offset);
  }
  for (const auto& each : pci::list_capabilities(description_)) {
    if (const auto defect = pci::defect_of(description_, each); !defect.empty()) {
      // Unlimited: once when it is held.
      spdlog::warn("{}: the capability at {:02x} ({}) is ignored and hidden from guests: {}",
                   pci::to_string(description_.address), each.offset, pci::register_name(description_, each.offset),
                   defect);
    }
  }
  line_ = look_at_line();
  notes_ = oddities(host_, description_);
  open_physical_function();
  msix_ = platform::msix_function::seen_in(description_);
  if (!before) {
    // Xen looks at the BARs. What goes wrong here goes wrong in the scrub that follows, too, which tries again.
    static_cast<void>(restore());
    const auto prepared = renew_messages();
    const bool stays =
        !prepared && (prepared.error().error == EBUSY || (description_.is_virtual() && !guest_decodes_memory()));
    return stays ? prepared : pci::result<void>{};
  }
  adopt(*before); // its vectors are unmapped first, by the scrub that follows
  return {};
}

void hardware::open_physical_function() {
  if (description_.physical_function) {
    if (auto physical = host_.pci().open_config(*description_.physical_function)) {
      physical_port_ = std::move(*physical);
    }
  }
}

std::vector<std::string> hardware::oddities(platform::host& host, const pci::function& function) {
  const auto resets = host.pci().reset_options(function.address);
  auto found = pci::known_errata(pci::identity_of(function), resets.value_or(std::vector<pci::reset_option>{}));
  if (const auto memory = pci::reserved_memory_of(function.address, host.pci().reserved_regions()); !memory.empty()) {
    found.push_back(fmt::format("the firmware gives it reserved memory (RMRR) at {}", memory));
  }
  return found;
}

void hardware::adopt(const function_record& before) {
  wrote_freely_ = before.permissive;
  domain_ = before.domain;
  target_ = before.target;
  if (before.granted) {
    granted_ = before.domain;
  }
  if (before.domain) {
    use_for(*before.domain);
    reached_ = true;
  }
  if (before.target) {
    use_for(*before.target);
  }
  interrupts_.adopt(before.mode, before.vectors);
  if (before.domain) {
    registry_->vectors.set(*before.domain, description_.address, before.vectors.size());
  }
}

function_record hardware::record() const {
  function_record what;
  what.function = description_;
  what.previous_driver = previous_driver_;
  refresh(what);
  return what;
}

void hardware::refresh(function_record& what) const {
  what.holder = holder_;
  what.domain = last_guest();
  what.target = target_;
  what.granted = granted_.has_value();
  what.mode = interrupts_.mode();
  what.vectors.assign(interrupts_.vectors().begin(), interrupts_.vectors().end());
  refresh_command(what);
}

void hardware::refresh_command(function_record& what) const {
  what.command = space_.state().command;
  what.decoding = space_.state().decoding;
}

pci::result<void> hardware::release(bool probe) {
  const std::lock_guard lock(binding_mutex_);
  disarm_guard();
  return give_back(host_, description_, probe);
}

// When it could not be given back whole, so that no driver of dom0's gets one that is half a guest's.
bool hardware::bind_again() {
  const std::lock_guard lock(binding_mutex_);
  return host_.pci().hold(description_.address, holder_, false).has_value();
}

pci::result<void> hardware::give_back(platform::host& host, const pci::function& reference, bool probe) {
  auto& xen = host.xen();
  const auto& address = reference.address;
  stop_dma(host, reference);
  if (const auto msix = platform::msix_function::seen_in(reference)) {
    static_cast<void>(xen.release_msix(*msix));
  }
  // Out of quarantine: dom0's IOMMU context is what its driver needs, whose DMA would go nowhere. ENODEV: a toolstack
  // has done it already.
  if (auto home = xen.deassign(platform::domid_io, address); !home && home.error().error != ENODEV) {
    return pci::fail(home.error().error,
                     fmt::format("{} stays in quarantine: {}", pci::to_string(address), home.error().context));
  }
  return probe ? host.pci().release(address) : host.pci().let_go(address);
}

} // namespace actors
