#include "actors/device/hardware.hpp"

#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "pci/config_space/answered.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/config_space/usable.hpp"
#include "pci/errata.hpp"

namespace actors {
namespace {

// After D3hot; see pci::wake.
constexpr auto wake_time = std::chrono::milliseconds(10);

/// Xen's pirqs for one guest and one function.
class guest_pirqs final : public pci::pirq_port {
public:
  /// `others`: how many the guest has of its other functions.
  guest_pirqs(platform::hypervisor& xen, messages::domain_id domain, const pci::sbdf& address, std::size_t others = 0)
      : xen_(xen), domain_(domain), address_(address), others_(others) {}
  pci::result<std::uint16_t> map_msi() override { return count(xen_.map_msi(domain_, address_)); }
  pci::result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t table_base) override {
    return count(xen_.map_msix(domain_, address_, entry, table_base));
  }
  pci::result<void> unmap(std::uint16_t pirq) override { return xen_.unmap_pirq(domain_, pirq); }

private:
  // Xen's number alone, "no space left on device", led people to look at disks.
  pci::result<std::uint16_t> count(pci::result<std::uint16_t> mapped) {
    if (mapped) {
      ++mapped_;
    } else if (mapped.error().error == ENOSPC) {
      const auto limit = xen_.vectors_a_guest();
      mapped.error().context +=
          fmt::format(": the guest has {} vectors of this function by now and {} of others, and Xen gives a guest {}; "
                      "extra_guest_irqs={} on Xen's command line, for one, gives it more",
                      mapped_, others_, limit, 2 * limit);
    }
    return mapped;
  }

  platform::hypervisor& xen_;
  messages::domain_id domain_;
  pci::sbdf address_;
  std::size_t others_;
  std::size_t mapped_ = 0;
};

platform::holder holder_for(const pci::line_facts& line, const pci::policy& policy) {
  return pci::decide({.facts = line, .policy = policy.line}).handler ? platform::holder::uio : platform::holder::stub;
}

std::vector<pci::difference> essential_of(std::vector<pci::difference> all) {
  std::erase_if(all, [](const pci::difference& each) { return !each.essential; });
  return all;
}

/// The same card in the same place: all that it cannot be told to be otherwise.
bool is_same(const pci::function& a, const pci::function& b) {
  return a.vendor == b.vendor && a.device == b.device && a.class_code == b.class_code && a.resources == b.resources &&
         a.physical_function == b.physical_function && a.config.size() == b.config.size();
}

} // namespace

hardware::hardware(const environment& all, pci::function description, std::unique_ptr<pci::config_port> port,
                   pci::space space, platform::holder holder)
    : host_(all.host), neighbours_(all.functions), resets_(all.resets), description_(std::move(description)),
      port_(std::move(port)), space_(std::move(space)), interrupts_(description_), holder_(holder) {
  log_.use(host_.time());
}

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
    spdlog::info("{} has no interrupt line that a guest can have: the host says {}", pci::to_string(address),
                 description->irq);
    description->irq = 0;
  }
  auto port = host.pci().open_config(address);
  if (!port) {
    return fail(port.error());
  }
  if (before && !is_same(before->function, *description)) {
    // Unlimited: once when it is held.
    spdlog::warn("{} is another function than the one that was held there: what is known of that is of no use",
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
  found->adopt(before);
  pci::guest_state last;
  last.command = before.command;
  last.decoding = before.decoding;
  found->space_.adopt(last);
  found->space_.set_interrupt_mode(before.mode);
  if (holder == platform::holder::uio && (before.command & pci::reg::command_master) != 0) {
    if (auto mastering = found->set_command(pci::reg::command_master, 0); !mastering) {
      return tl::unexpected(mastering.error());
    }
  }
  return found;
}

pci::result<void> hardware::set_command(std::uint16_t set, std::uint16_t clear) {
  return pci::update_control(*port_, pci::reg::command, clear, set).map([](std::uint32_t) {});
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
      spdlog::warn("{}: the capability at {:02x} ({}) is not used, and no guest sees it: {}",
                   pci::to_string(description_.address), each.offset, pci::register_name(description_, each.offset),
                   defect);
    }
  }
  line_ = look_at_line();
  look_for_oddities();
  if (description_.physical_function) {
    if (auto physical = host_.pci().open_config(*description_.physical_function)) {
      physical_port_ = std::move(*physical);
    }
  }
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

void hardware::look_for_oddities() {
  const auto resets = host_.pci().reset_options(description_.address);
  notes_ = pci::known_errata(pci::identity_of(description_), resets.value_or(std::vector<pci::reset_option>{}));
  if (const auto memory = pci::reserved_memory_of(description_.address, host_.pci().reserved_regions());
      !memory.empty()) {
    notes_.push_back(fmt::format("the firmware has it use reserved memory (RMRR) at {}", memory));
  }
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
    neighbours_->vectors.set(*before.domain, description_.address, before.vectors.size());
  }
}

function_record hardware::record() const {
  function_record what;
  what.function = description_;
  what.holder = holder_;
  what.previous_driver = previous_driver_;
  what.domain = last_guest();
  what.target = target_;
  what.granted = granted_.has_value();
  what.mode = interrupts_.mode();
  what.vectors.assign(interrupts_.vectors().begin(), interrupts_.vectors().end());
  what.command = space_.state().command;
  what.decoding = space_.state().decoding;
  return what;
}

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

unsigned hardware::guests_on_line(const neighbours& all, const users::guest& whose, unsigned gsi) {
  return gsi == 0 ? 1 : 1 + static_cast<unsigned>(all.lines.others(whose, gsi).size());
}

bool hardware::must_rebind(const users::guest& whose, const pci::policy& policy) {
  line_ = look_at_line();
  line_.guests = guests_on_line(*neighbours_, whose, line_.gsi);
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
                      neighbours_->vectors.others(*domain_, description_.address));
    if (static_cast<pci::op_code>(what.code) == pci::op_code::enable_msix) {
      cure_messages(pirqs);
    }
    auto policy = policy_;
    policy.msix = policy.msix && !msix_refused_;
    auto answer = interrupts_.operate(what, policy, guest_decodes_memory(), *port_, pirqs);
    neighbours_->vectors.set(*domain_, description_.address, interrupts_.vectors().size());
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
    neighbours_->vectors.set(*domain_, description_.address, interrupts_.vectors().size());
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

void hardware::unmask_intx() { static_cast<void>(set_command(0, pci::reg::command_intx_disable)); }

pci::result<void> hardware::release(bool probe) {
  const std::lock_guard lock(binding_mutex_);
  disarm_guard();
  return give_back(host_, description_, probe);
}

pci::result<void> hardware::give_back(platform::host& host, const pci::function& reference, bool probe) {
  auto& xen = host.xen();
  const auto& address = reference.address;
  if (const auto msix = platform::msix_function::seen_in(reference)) {
    static_cast<void>(xen.release_msix(*msix));
  }
  // Out of quarantine: dom0's IOMMU context is what its driver needs. ENODEV: a toolstack has done it already.
  if (auto home = xen.deassign(platform::domid_io, address); !home && home.error().error != ENODEV) {
    // Unlimited: the administrator's doing.
    spdlog::warn("{} stays in quarantine: {}", pci::to_string(address), pci::to_string(home.error()));
  }
  return probe ? host.pci().release(address) : host.pci().let_go(address);
}

} // namespace actors
