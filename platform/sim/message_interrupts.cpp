// SPDX-License-Identifier: GPL-2.0-or-later
// Xen's half of MSI and MSI-X: physdev operations, as xen/arch/x86/{physdev,irq,msi}.c do them.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/registers.hpp"
#include "platform/sim/hypervisor.hpp"
#include "platform/sim/violation.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

/// Where Xen takes a BAR of memory to be: where the register says, whatever the host's kernel knows. 0: nowhere. A
/// virtual function's it works out from the physical one's capability.
std::uint64_t memory_bar(const device& hardware, unsigned bar) {
  constexpr std::uint32_t type_io = 1, width = 6, type_64 = 4, type = 0xf;
  if (hardware.model().physical_function)
    return bar < pci::function::rom && !pci::is_fixed(hardware.model().resources.at(bar))
               ? hardware.model().resources.at(bar).start
               : 0;
  const unsigned bars = (hardware.read(reg::header_type, 1) & reg::header_layout) == 1 ? 2 : 6;
  const auto half = [&](unsigned index) { return hardware.read(reg::bar0 + std::size_t{4} * index, 4); };
  if (bar >= bars || (half(bar) & type_io) != 0)
    return 0;
  const std::uint64_t low = half(bar) & ~type;
  if ((half(bar) & width) != type_64)
    return low;
  return bar + 1 < bars ? low | std::uint64_t{half(bar + 1)} << 32 : 0;
}

/// msix_capability_init reads BARs and offsets, and believes them: it knows no BAR's size.
pci::result<void> check_structures(const device& hardware, const std::string& where) {
  const std::uint64_t entries = (hardware.msix_control() & reg::msix_table_size) + 1U;
  const auto has_place = [&](unsigned from, std::uint64_t length, const char* what) {
    const auto place = hardware.read(hardware.msix() + from, 4);
    const unsigned bar = place & reg::msix_bir;
    const auto start = memory_bar(hardware, bar);
    if (start == 0)
      return false;
    const auto& memory = hardware.model().resources.at(bar);
    if (start != memory.start)
      violation(fmt::format("{}: BAR {} with the {} is at {:x}, the host has given it {:x}", where, bar, what, start,
                            memory.start));
    if ((place & ~reg::msix_bir) + length > memory.size())
      violation(fmt::format("{}: the {} leaves BAR {}, Xen makes what is behind it read-only", where, what, bar));
    return true;
  };
  if (!has_place(reg::msix_table, entries * 16, "table"))
    return pci::fail(ENXIO, where + ": the table's BAR has no address");
  if (!has_place(reg::msix_pba, (entries + 63) / 64 * 8, "array of pending bits")) // Xen warns, and goes on
    violation(where + ": the BAR of the pending bits has no address, Xen makes the host's memory read-only");
  return {};
}

} // namespace

/// A virtual function decodes when its physical function does.
bool hypervisor::decodes_memory(const function_state& function) const {
  const auto& parent = function.hardware.model().physical_function;
  const auto* decider = parent ? find(*parent) : &function;
  return decider != nullptr && (decider->hardware.command() & reg::command_memory) != 0;
}

bool hypervisor::has_msix_vectors(const function_state& function) {
  return std::any_of(function.vectors.begin(), function.vectors.end(), [](const auto& v) { return v.is_msix; });
}

/// Xen could not reach the table and holds the function masked from now on (docs/mechanics.md 2.1).
void hypervisor::poison(function_state& function) { function.host_maskall = true; }

std::optional<std::uint16_t> hypervisor::free_pirq(const domain_state& domain) const {
  for (auto number = domain.nr_pirqs() - 1; number >= gsis; --number)
    if (!domain.pirqs.contains(static_cast<std::uint16_t>(number)) &&
        !domain.forced.contains(static_cast<std::uint16_t>(number)))
      return static_cast<std::uint16_t>(number);
  return std::nullopt;
}

/// The lowest that no vector has; lines have those below.
unsigned hypervisor::free_irq() const {
  std::set<unsigned> taken;
  for (const auto& [address, function] : functions_)
    for (const auto& vector : function->vectors)
      taken.insert(vector.irq);
  unsigned irq = gsis;
  while (taken.contains(irq))
    ++irq;
  return irq;
}

/// Source: allocate_pirq and unmap_domain_pirq in Xen's arch/x86/irq.c. What is unmapped while the guest has it bound
/// keeps its irq from that guest until the event channel is closed, and it is the one that Xen takes next.
pci::result<std::uint16_t> hypervisor::bind_vector(domain_id domain, domain_state& to, function_state& function,
                                                   bool is_msix, std::uint16_t entry) {
  const auto pirq = free_pirq(to);
  if (!pirq)
    return pci::fail(ENOSPC, fmt::format("map_pirq: domain {} has no pirq left", domain));
  const auto irq = free_irq();
  if (std::any_of(to.forced.begin(), to.forced.end(), [&](const auto& each) { return each.second == irq; }))
    return pci::fail(EBUSY, fmt::format("map_pirq: domain {} has an unmapped pirq bound", domain));
  // Mapping the same entry twice is not refused: the second mapping's message is in the table.
  to.pirqs[*pirq] = {false, function.hardware.model().address, false, 0};
  function.vectors.push_back({domain, *pirq, is_msix, entry, true, irq});
  return *pirq;
}

pci::result<std::uint16_t> hypervisor::map_msi(domain_id domain, const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("map_pirq", &address); !entered)
    return tl::unexpected(entered.error());
  auto& function = *find(address);
  auto* to = find(domain);
  if (to == nullptr)
    return pci::fail(ESRCH, fmt::format("map_pirq: domain {}", domain));
  if (function.owner != domain || function.hardware.msi() == 0)
    return pci::fail(ENODEV, fmt::format("map_pirq MSI of {} for domain {}", pci::to_string(address), domain));
  auto bound = bind_vector(domain, *to, function, false, 0);
  if (bound) // Xen clears Enable and programs address and data
    function.hardware.force_word(function.hardware.msi() + reg::message_control, 0, reg::msi_enable);
  return bound;
}

/// Everything in the order of __pci_enable_msix and msix_capability_init: host_maskall is set before the check of
/// memory decode and left behind by each failure after it.
pci::result<void> hypervisor::check_msix_map(function_state& function, std::uint16_t entry, std::uint64_t table_base) {
  const auto& model = function.hardware.model();
  const auto where = fmt::format("map_pirq MSI-X entry {} of {}", entry, pci::to_string(model.address));
  if (entry > (function.hardware.msix_control() & reg::msix_table_size))
    return pci::fail(EINVAL, where);
  const auto bar = function.hardware.read(function.hardware.msix() + reg::msix_table, 4) & 7U;
  if (bar > 5 || table_base != model.resources[bar].start)
    return pci::fail(EINVAL, fmt::format("{}: table base {:x}", where, table_base));
  if (!decodes_memory(function)) {
    poison(function);
    return pci::fail(ENXIO, where + ": memory decode is off");
  }
  if (function.prepared)
    return {};
  if (function.ever_prepared) {
    violation(where + ": potentially insecure use of MSI-X, Xen crashes the domain");
    return pci::fail(EFAULT, where);
  }
  poison(function);
  return pci::fail(ENODATA, where + ": not prepared");
}

pci::result<std::uint16_t> hypervisor::map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                                std::uint64_t table_base) {
  std::lock_guard hold(mutex_);
  if (table_base == 0)
    return pci::fail(EINVAL, "map_pirq MSI-X: table base 0 means MSI");
  if (auto entered = enter("map_pirq", &address); !entered)
    return tl::unexpected(entered.error());
  auto& function = *find(address);
  auto* to = find(domain);
  if (to == nullptr)
    return pci::fail(ESRCH, fmt::format("map_pirq: domain {}", domain));
  if (!free_pirq(*to)) // comes first in Xen, too
    return pci::fail(ENOSPC, fmt::format("map_pirq: domain {} has no pirq left", domain));
  if (function.owner != domain || function.hardware.msix() == 0)
    return pci::fail(ENODEV, fmt::format("map_pirq MSI-X of {} for domain {}", pci::to_string(address), domain));
  if (auto allowed = check_msix_map(function, entry, table_base); !allowed)
    return tl::unexpected(allowed.error());
  for (const auto& vector : function.vectors)
    if (!vector.is_msix) // "MSI already in use": Xen turns it off
      function.hardware.force_word(function.hardware.msi() + reg::message_control, 0, reg::msi_enable);
  return bind_vector(domain, *to, function, true, entry);
}

/// Masks what the vector sent. Without memory decode the table cannot be reached: the whole function stays masked.
void hypervisor::release_vector(function_state& function, const vector_mapping& vector) {
  auto& hardware = function.hardware;
  if (!vector.is_msix) {
    hardware.force_word(hardware.msi() + reg::message_control, 0, reg::msi_enable);
  } else if (!decodes_memory(function)) {
    poison(function);
    hardware.force_word(hardware.msix() + reg::message_control, reg::msix_mask_all, 0);
  }
}

pci::result<void> hypervisor::unmap_pirq(domain_id domain, std::uint16_t pirq) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("unmap_pirq"); !entered)
    return entered;
  auto* from = find(domain);
  const auto where = fmt::format("unmap_pirq {} of domain {}", pirq, domain);
  if (domain == 0) {
    violation(where + ": dom0's own");
    return pci::fail(EFAULT, where);
  }
  if (from == nullptr)
    return pci::fail(ESRCH, where);
  const auto found = from->pirqs.find(pirq);
  if (found == from->pirqs.end())
    return pci::fail(EINVAL, where);
  touch(domain, pirq, found->second, "unmap_pirq");
  if (auto* function = found->second.is_line ? nullptr : find(found->second.function)) {
    const auto mine = [&](const vector_mapping& v) { return v.domain == domain && v.pirq == pirq; };
    for (const auto& vector : function->vectors)
      if (mine(vector)) {
        release_vector(*function, vector);
        if (found->second.bound)
          from->forced[pirq] = vector.irq;
      }
    std::erase_if(function->vectors, mine);
  }
  from->pirqs.erase(found);
  return {};
}

pci::result<void> hypervisor::prepare_msix(const msix_function& which) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("prepare_msix", &which.address()); !entered)
    return entered;
  auto& function = *find(which.address());
  const auto where = fmt::format("prepare_msix {}", pci::to_string(which.address()));
  if (!function.had_msix) {
    violation(where + ": no MSI-X when Xen first saw it, Xen panics: FATAL PAGE FAULT in pci_prepare_msix");
    return pci::fail(EFAULT, where);
  }
  if (function.dead || function.hardware.msix() == 0)
    return pci::fail(ENODEV, where);
  if (function.prepared || has_msix_vectors(function))
    return pci::fail(EBUSY, where);
  if (!decodes_memory(function)) {
    poison(function);
    return pci::fail(ENXIO, where + ": memory decode is off");
  }
  if (auto placed = check_structures(function.hardware, where); !placed) {
    poison(function);
    return placed;
  }
  check_window(function, where);
  function.prepared = function.ever_prepared = true;
  function.host_maskall = false;
  return {};
}

pci::result<void> hypervisor::release_msix(const msix_function& which) {
  std::unique_lock hold(mutex_);
  if (auto entered = enter("release_msix", &which.address()); !entered)
    return entered;
  auto& function = *find(which.address());
  const auto where = fmt::format("release_msix {}", pci::to_string(which.address()));
  if (!function.had_msix) {
    violation(where + ": no MSI-X when Xen first saw it, Xen panics: FATAL PAGE FAULT in pci_prepare_msix");
    return pci::fail(EFAULT, where);
  }
  if (function.dead || function.hardware.msix() == 0)
    return pci::fail(ENODEV, where);
  if (!function.prepared || has_msix_vectors(function))
    return pci::fail(EBUSY, where);
  function.prepared = false;
  check_window(function, where);
  hold.unlock();
  if (when_unprotected_)
    when_unprotected_(which.address());
  return {};
}

pci::result<void> hypervisor::restore_msi(const restorable_function& which) {
  std::lock_guard hold(mutex_);
  const auto& address = which.address();
  if (auto entered = enter("restore_msi", &address); !entered)
    return entered;
  auto& function = *find(address);
  if (has_msix_vectors(function) && !decodes_memory(function))
    return pci::fail(ENXIO, fmt::format("restore_msi {}: memory decode is off", pci::to_string(address)));
  for (auto& vector : function.vectors) {
    vector.programmed = true;
    const auto capability = vector.is_msix ? function.hardware.msix() : function.hardware.msi();
    function.hardware.force_word(capability + reg::message_control, vector.is_msix ? reg::msix_enable : reg::msi_enable,
                                 0);
  }
  return {};
}

std::vector<std::uint16_t> hypervisor::pirqs_of(domain_id domain, const pci::sbdf& address) const {
  std::lock_guard hold(mutex_);
  std::vector<std::uint16_t> all;
  if (const auto* function = find(address))
    for (const auto& vector : function->vectors)
      if (vector.domain == domain)
        all.push_back(vector.pirq);
  return all;
}

void hypervisor::check_reset(const function_state& function) const {
  const auto name = pci::to_string(function.hardware.model().address);
  const auto has_device_model = [this](domain_id domain) {
    const auto found = domains_.find(domain);
    return found != domains_.end() && found->second.options.kind == domain_kind::hvm;
  };
  if (has_device_model(function.owner))
    violation(fmt::format("reset of {} under HVM guest {}", name, function.owner));
  for (const auto& vector : function.vectors)
    if (has_device_model(vector.domain)) {
      violation(fmt::format("reset of {} while HVM guest {} has vectors of it", name, vector.domain));
      return;
    }
}

/// A reset of the function loses what Xen has written into it.
void hypervisor::message_reset(function_state& function) {
  for (auto& vector : function.vectors)
    vector.programmed = false;
  function.asserted = false;
}

} // namespace platform::sim
