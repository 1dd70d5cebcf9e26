#include "actors/device/hardware.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"

namespace actors {
namespace {

constexpr unsigned frame_shift = 12;

/// Xen's pirqs for one guest and one function.
class guest_pirqs final : public pci::pirq_port {
public:
  guest_pirqs(platform::hypervisor& xen, messages::domain_id domain, const pci::sbdf& address)
      : xen_(xen), domain_(domain), address_(address) {}
  pci::result<std::uint16_t> map_msi() override { return xen_.map_msi(domain_, address_); }
  pci::result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t table_base) override {
    return xen_.map_msix(domain_, address_, entry, table_base);
  }
  pci::result<void> unmap(std::uint16_t pirq) override { return xen_.unmap_pirq(domain_, pirq); }

private:
  platform::hypervisor& xen_;
  messages::domain_id domain_;
  pci::sbdf address_;
};

/// What a revocation may meet when the domain is gone, or when its owner took the thing back first.
bool already_gone(const pci::failure& what) { return what.error == ESRCH || what.error == EINVAL; }

platform::holder holder_for(const pci::line_facts& line) {
  return pci::decide(line) == pci::line_decision::acknowledge ? platform::holder::uio : platform::holder::stub;
}

} // namespace

hardware::hardware(platform::host& host, pci::function description, std::unique_ptr<pci::config_port> port,
                   pci::space space, platform::holder holder)
    : host_(host), description_(std::move(description)), port_(std::move(port)), space_(std::move(space)),
      interrupts_(description_), holder_(holder) {}

pci::result<std::shared_ptr<hardware>> hardware::take(platform::host& host, const pci::sbdf& address,
                                                      const pci::policy& policy, bool seize) {
  auto holder = platform::holder::stub;
  if (auto held = host.pci().hold(address, holder, seize); !held) {
    return tl::unexpected(held.error());
  }
  auto description = host.pci().describe(address);
  if (!description) {
    return tl::unexpected(description.error());
  }
  auto port = host.pci().open_config(address);
  if (!port) {
    return tl::unexpected(port.error());
  }
  pci::make_reference(*description);
  auto space = pci::space::build(*description, policy);
  if (!space) {
    static_cast<void>(host.pci().release(address));
    return tl::unexpected(space.error());
  }
  std::shared_ptr<hardware> taken(
      new hardware(host, std::move(*description), std::move(*port), std::move(*space), holder));
  for (const auto& quirk : taken->space_.refused_quirks()) {
    spdlog::warn("{}: the quirk at {:x} is not used: it is malformed or covers a register with a rule of its own",
                 pci::to_string(address), quirk.offset);
  }
  taken->line_ = host.lines().facts(taken->description_.irq);
  if (taken->description_.physical_function) {
    if (auto physical = host.pci().open_config(*taken->description_.physical_function)) {
      taken->physical_port_ = std::move(*physical);
    }
  }
  if (auto prepared = taken->prepare_messages(); !prepared) {
    // Some guest still has vectors of it: no driver of dom0 may have it meanwhile.
    if (prepared.error().error != EBUSY) {
      static_cast<void>(host.pci().release(address));
    }
    return tl::unexpected(prepared.error());
  }
  return taken;
}

pci::result<void> hardware::prepare_messages() {
  auto found = platform::msix_function::look(description_.address, *port_);
  if (!found) {
    return tl::unexpected(found.error());
  }
  msix_ = *found;
  return renew_messages();
}

// Prepared anew each time: Xen forgets a mask that it forced on the function while memory decode was off.
pci::result<void> hardware::renew_messages() {
  if (!msix_) {
    return {};
  }
  // Fails while it was not prepared, which is the state that is wanted here.
  static_cast<void>(host_.xen().release_msix(*msix_));
  auto prepared = host_.xen().prepare_msix(*msix_);
  if (!prepared && prepared.error().error == EBUSY) {
    return pci::fail(EBUSY,
                     fmt::format("{}: Xen still has MSI-X vectors of it mapped", pci::to_string(description_.address)));
  }
  return prepared;
}

pci::result<void> hardware::allow_line(messages::domain_id domain, bool allow) {
  const auto gsi = description_.irq;
  if (gsi == 0) {
    return {};
  }
  auto& xen = host_.xen();
  if (allow) {
    auto mapped = xen.map_gsi(domain, gsi);
    return mapped ? xen.permit_irq(domain, gsi, true) : mapped;
  }
  auto denied = xen.permit_irq(domain, gsi, false);
  auto unmapped = xen.unmap_pirq(domain, static_cast<std::uint16_t>(gsi));
  if (!denied && !already_gone(denied.error())) {
    return denied;
  }
  return !unmapped && !already_gone(unmapped.error()) ? unmapped : pci::result<void>{};
}

pci::result<void> hardware::allow_resources(messages::domain_id domain, bool allow) {
  for (const auto& resource : description_.resources) {
    if (resource.size() == 0) {
      continue;
    }
    const auto first_frame = resource.start >> frame_shift;
    const auto frames = (resource.end >> frame_shift) - first_frame + 1;
    auto done = resource.is_io() ? host_.xen().permit_ports(domain, static_cast<std::uint32_t>(resource.start),
                                                            static_cast<std::uint32_t>(resource.size()), allow)
                                 : host_.xen().permit_memory(domain, first_frame, frames, allow);
    if (!done && (allow || !already_gone(done.error()))) {
      return done;
    }
  }
  return {};
}

pci::result<void> hardware::grant_resources(messages::domain_id domain) {
  auto allowed = allow_resources(domain, true);
  if (allowed) {
    allowed = allow_line(domain, true);
  }
  return allowed ? host_.xen().assign(domain, description_.address) : allowed;
}

pci::result<void> hardware::grant(messages::domain_id domain) {
  granted_ = domain;
  auto done = grant_resources(domain);
  if (!done) {
    static_cast<void>(revoke());
    granted_.reset();
  }
  return done;
}

// A toolstack that did the guest's half may have forgotten to undo it: what is this function's alone goes in any
// case. The line may be another function's too, so it is left to who permitted it.
pci::result<void> hardware::revoke() {
  const auto from = granted_ ? granted_ : domain_;
  if (!from) {
    return {};
  }
  auto line = granted_ ? allow_line(*from, false) : pci::result<void>{};
  auto resources = allow_resources(*from, false);
  return line ? resources : line;
}

pci::result<void> hardware::withdraw() {
  const auto from = granted_ ? std::exchange(granted_, std::nullopt) : domain_;
  domain_.reset();
  if (from) {
    auto taken = host_.xen().deassign(*from, description_.address);
    if (!taken && !already_gone(taken.error()) && taken.error().error != ENODEV) {
      return taken;
    }
  }
  auto quarantined = host_.xen().assign(platform::domid_io, description_.address);
  if (!quarantined && from && quarantined.error().error == EBUSY) {
    // It is not the last guest's any more: a toolstack has given it to the next one already, which waits for the scrub.
    return {};
  }
  return quarantined;
}

bool hardware::must_rebind() {
  line_ = host_.lines().facts(description_.irq);
  return holder_for(line_) != holder_;
}

pci::result<void> hardware::begin(messages::domain_id domain, const pci::policy& policy) {
  if (must_rebind()) {
    const auto wanted = holder_for(line_);
    if (auto bound = host_.pci().hold(description_.address, wanted, false); bound) {
      holder_ = wanted;
    } else {
      // The guest can have its device without the handler; dom0's drivers on the line may suffer, so it is said.
      spdlog::warn("{}: line {} is shared with dom0 and has no acknowledging handler: {}",
                   pci::to_string(description_.address), line_.gsi, pci::to_string(bound.error()));
    }
  }
  domain_ = domain;
  policy_ = policy;
  space_.reset(policy);
  return {};
}

bool hardware::guest_decodes_memory() {
  auto& port = physical_port_ ? *physical_port_ : *port_;
  const auto command = port.read(pci::reg::command, 2);
  return command && (*command & pci::reg::command_memory) != 0;
}

pci::answer hardware::operate(const pci::request& what) {
  switch (static_cast<pci::op_code>(what.code)) {
  case pci::op_code::conf_read: {
    const auto read = space_.read(*port_, what.offset, what.size);
    return {read.error, read.value, {}};
  }
  case pci::op_code::conf_write: {
    const auto written = space_.write(*port_, what.offset, what.size, what.value);
    return {written.error, what.value, {}};
  }
  case pci::op_code::enable_msi:
  case pci::op_code::disable_msi:
  case pci::op_code::enable_msix:
  case pci::op_code::disable_msix: {
    guest_pirqs pirqs(host_.xen(), *domain_, description_.address);
    if (static_cast<pci::op_code>(what.code) == pci::op_code::enable_msix) {
      cure_messages(pirqs);
    }
    auto answer = interrupts_.operate(what, policy_, guest_decodes_memory(), *port_, pirqs);
    space_.set_interrupt_mode(interrupts_.mode());
    return answer;
  }
  default:
    return {pci::op_error::not_implemented, what.value, {}};
  }
}

// Memory decode is needed by the unmaps that follow, and bus mastering ends first: no DMA and no message after this
// write.
pci::result<void> hardware::quiesce() {
  auto command = port_->read(pci::reg::command, 2);
  if (!command) {
    return tl::unexpected(command.error());
  }
  const auto quiet = (*command & ~static_cast<std::uint32_t>(pci::reg::command_master)) | pci::reg::command_memory;
  return port_->write(pci::reg::command, 2, quiet);
}

pci::result<void> hardware::end_messages() {
  pci::result<void> ended;
  if (domain_) {
    guest_pirqs pirqs(host_.xen(), *domain_, description_.address);
    ended = interrupts_.end(*port_, pirqs, true);
  }
  space_.set_interrupt_mode(pci::interrupt_mode::intx);
  auto off = pci::turn_messages_off(description_, *port_);
  return ended ? off : ended;
}

pci::result<void> hardware::restore() {
  auto restored = pci::restore(description_, *port_);
  auto prepared = space_.prepare(*port_);
  return restored ? prepared : restored;
}

pci::result<void> hardware::verify() {
  const auto off = pci::messages_off(description_, *port_);
  if (!off) {
    return tl::unexpected(off.error());
  }
  return *off ? pci::result<void>{} : pci::fail(EIO, "MSI or MSI-X still reads as enabled");
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
  case pci::scrub_step::reset:
    return host_.pci().reset(description_.address);
  case pci::scrub_step::restore:
    return restore();
  case pci::scrub_step::renew_msix:
    return renew_messages();
  case pci::scrub_step::verify:
    return verify();
  case pci::scrub_step::done:
  case pci::scrub_step::failed:
    break;
  }
  return {};
}

void hardware::unmask_intx() {
  if (const auto command = port_->read(pci::reg::command, 2)) {
    static_cast<void>(
        port_->write(pci::reg::command, 2, *command & ~static_cast<std::uint32_t>(pci::reg::command_intx_disable)));
  }
}

pci::result<void> hardware::release() {
  auto& xen = host_.xen();
  if (msix_) {
    static_cast<void>(xen.release_msix(*msix_));
  }
  // Out of quarantine: dom0's IOMMU context is what its driver needs.
  if (auto home = xen.deassign(platform::domid_io, description_.address); !home) {
    spdlog::warn("{} stays in quarantine: {}", pci::to_string(description_.address), pci::to_string(home.error()));
  }
  return host_.pci().release(description_.address);
}

} // namespace actors
