// SPDX-License-Identifier: GPL-2.0-or-later
// A function while a guest has it: the holder that its line needs, and the guest's operations.
#include "actors/device/hardware.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "actors/device/guest_pirqs.hpp"
#include "pci/config_space/answered.hpp"
#include "pci/config_space/registers.hpp"

namespace actors {
namespace {

platform::holder holder_for(const pci::line_facts& line, const pci::policy& policy) {
  return pci::decide({.facts = line, .policy = policy.line}).handler ? platform::holder::uio : platform::holder::stub;
}

} // namespace

hardware::hardware(const environment& all, pci::function description, std::unique_ptr<pci::config_port> port,
                   pci::space space, platform::holder holder)
    : host_(all.host), registry_(all.functions), resets_(all.resets), description_(std::move(description)),
      port_(std::move(port)), space_(std::move(space)), interrupts_(description_), holder_(holder) {
  log_.use(host_.time());
}

pci::result<void> hardware::set_command(std::uint16_t set, std::uint16_t clear) {
  return pci::update_control(*port_, pci::reg::command, clear, set).map([](std::uint32_t) {});
}

void hardware::unmask_intx() { static_cast<void>(set_command(0, pci::reg::command_intx_disable)); }

void hardware::forget_guest() {
  wrote_freely_ = false;
  granted_.reset();
  domain_.reset();
  target_.reset();
}

pci::line_facts hardware::look_at_line() const {
  auto facts = host_.lines().facts(description_.irq);
  facts.bridge = description_.header_layout() != 0;
  return facts;
}

unsigned hardware::guests_on_line(const function_registry& all, const users::guest& whose, unsigned gsi) {
  return gsi == 0 ? 1 : 1 + static_cast<unsigned>(all.lines.count_others(whose, gsi));
}

bool hardware::must_rebind(const users::guest& whose, const pci::policy& policy) {
  line_ = look_at_line();
  line_.guests = guests_on_line(*registry_, whose, line_.gsi);
  return holder_for(line_, policy) != holder_;
}

pci::result<void> hardware::bind(platform::holder wanted) {
  auto bound = host_.pci().hold(description_.address, wanted, false);
  if (bound) {
    holder_ = wanted;
  }
  return bound;
}

pci::result<void> hardware::rebind(platform::holder wanted, std::uint64_t guest) {
  const std::lock_guard lock(binding_mutex_);
  if (guest != guest_number_) {
    return pci::fail(ECANCELED, fmt::format("{} went to another guest", pci::to_string(description_.address)));
  }
  return bind(wanted);
}

pci::result<void> hardware::begin(messages::domain_id domain, std::optional<messages::domain_id> target,
                                  const pci::policy& policy) {
  const std::lock_guard lock(binding_mutex_);
  ++guest_number_;
  if (must_rebind(guest_of(domain, target), policy)) {
    if (auto bound = bind(holder_for(line_, policy)); !bound) {
      // The guest can have its device without the handler; dom0's drivers on the line may suffer, so it is said.
      log_.write(spdlog::level::warn, "{}: line {} is shared with dom0 and has no acknowledging handler: {}",
                 pci::to_string(description_.address), line_.gsi, pci::to_string(bound.error()));
    }
  }
  domain_ = domain;
  target_ = target;
  reached_ = true;
  use_for(domain);
  if (target) {
    use_for(*target);
  }
  space_.reset(policy);
  set_policy(policy);
  return {};
}

void hardware::set_policy(const pci::policy& policy) {
  policy_ = policy;
  wrote_freely_ = wrote_freely_ || policy.permissive || !policy.quirks.empty();
  space_.set_policy(policy);
}

bool hardware::guest_decodes_memory() {
  auto& port = physical_port_ ? *physical_port_ : *port_;
  const auto command = pci::read_answered(port, pci::reg::command, 2);
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
    guest_pirqs pirqs(host_.xen(), *domain_, description_.address,
                      registry_->vectors.others(*domain_, description_.address));
    if (static_cast<pci::op_code>(what.code) == pci::op_code::enable_msix) {
      cure_messages(pirqs);
    }
    auto policy = policy_;
    policy.msix = policy.msix && !msix_refused_;
    auto answer = interrupts_.operate(what, policy, guest_decodes_memory(), *port_, pirqs);
    registry_->vectors.set(*domain_, description_.address, interrupts_.vectors().size());
    space_.set_interrupt_mode(interrupts_.mode());
    // What dom0's handler masked last, before the messages came, nothing else would let through again.
    if (interrupts_.mode() == pci::interrupt_mode::intx && has_handler()) {
      unmask_intx();
    }
    return answer;
  }
  default:
    return {pci::op_error::not_implemented, what.value, {}};
  }
}

} // namespace actors
