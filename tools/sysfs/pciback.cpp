// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/sysfs/pciback.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include <fmt/format.h>

#include "tools/sysfs/formats.hpp"

namespace sysfs_program {
namespace {

/// One function and no wildcard: with one the kernel's driver finds no device.
pci::result<pci::sbdf> one_function(std::string_view text, int if_wildcard) {
  const auto pattern = pci::parse_pattern(text);
  if (!pattern) {
    return tl::unexpected(pattern.error());
  }
  if (!pattern->slot || !pattern->function) {
    return pci::fail(if_wildcard, fmt::format("\"{}\" is no function", text));
  }
  return pci::make_sbdf(pattern->segment, pattern->bus, *pattern->slot, *pattern->function);
}

std::vector<pci::sbdf> expanded(const pci::sbdf_pattern& pattern) {
  std::vector<pci::sbdf> all;
  for (unsigned devfn = 0; devfn < 256; ++devfn) {
    const pci::sbdf address{pattern.segment, pattern.bus, static_cast<std::uint8_t>(devfn)};
    if (pattern.matches(address)) {
      all.push_back(address);
    }
  }
  return all;
}

} // namespace

const pciback::file* pciback::find(std::string_view name) {
  const auto* const found = std::find_if(files.begin(), files.end(), [&](const file& one) { return one.name == name; });
  return found == files.end() ? nullptr : found;
}

pci::result<std::vector<function>> pciback::settled() {
  constexpr auto pause = std::chrono::milliseconds(50);
  const auto end = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    auto functions = daemon_.list();
    const auto settling = [](const function& one) { return one.settling; };
    if (!functions || std::none_of(functions->begin(), functions->end(), settling) ||
        std::chrono::steady_clock::now() >= end) {
      return functions;
    }
    std::this_thread::sleep_for(pause);
  }
}

pci::result<std::vector<pci::sbdf>> pciback::links() {
  return settled().map([](const std::vector<function>& functions) {
    std::vector<pci::sbdf> all;
    for (const auto& each : functions) {
      if (each.assignable) {
        all.push_back(each.address);
      }
    }
    return all;
  });
}

pci::result<bool> pciback::holds(const pci::sbdf& address) {
  return daemon_.list().map([&](const std::vector<function>& functions) {
    return std::any_of(functions.begin(), functions.end(), [&](const function& is) { return is.address == address; });
  });
}

pci::result<std::vector<pci::sbdf>> pciback::slots() {
  const auto functions = daemon_.list();
  if (!functions) {
    return tl::unexpected(functions.error());
  }
  const std::lock_guard lock(mutex_);
  auto all = slots_;
  for (const auto& each : *functions) {
    all.insert(each.address);
  }
  return std::vector<pci::sbdf>(all.begin(), all.end());
}

pci::result<std::string> pciback::quirks() {
  const auto functions = daemon_.list();
  if (!functions) {
    return tl::unexpected(functions.error());
  }
  std::string text;
  for (const auto& each : *functions) {
    // One that is released meanwhile has no registers any more.
    if (const auto registers = daemon_.registers(each.address)) {
      text += quirks_text(*registers);
    }
  }
  return text;
}

pci::result<std::string> pciback::read(std::string_view name) {
  if (name == "slots") {
    return slots().map([](const auto& all) { return slots_text(all); });
  }
  if (name == "quirks") {
    return quirks();
  }
  if (name == "permissive") {
    return daemon_.list().map([](const auto& all) { return permissive_text(all); });
  }
  if (name == "allow_interrupt_control") {
    return daemon_.list().map([](const auto& all) { return interrupt_control_text(all); });
  }
  if (name == "irq_handlers") {
    return daemon_.list().map([](const auto& all) { return irq_handlers_text(all); });
  }
  return pci::fail(EACCES, fmt::format("{} cannot be read", name));
}

pci::result<void> pciback::write(std::string_view name, std::string_view text) {
  if (name == "new_slot") {
    return new_slot(text);
  }
  if (name == "remove_slot") {
    return remove_slot(text);
  }
  if (name == "bind") {
    return bind(text);
  }
  if (name == "unbind") {
    return parse_device_name(text).and_then([this](const pci::sbdf& address) { return unbind(address); });
  }
  if (name == "permissive") {
    return one_function(text, ENODEV).and_then([this](const auto& is) { return daemon_.set_permissive(is); });
  }
  if (name == "allow_interrupt_control") {
    return one_function(text, ENODEV).and_then([this](const auto& is) { return daemon_.allow_interrupt_control(is); });
  }
  if (name == "quirks") {
    return pci::parse_addressed_quirk(text).and_then([this](const auto& is) { return daemon_.add_quirk(is); });
  }
  if (name == "irq_handler_state") {
    return toggle_handler(text);
  }
  return pci::fail(EACCES, fmt::format("{} cannot be written", name));
}

pci::result<void> pciback::new_slot(std::string_view text) {
  return pci::parse_pattern(text).map([this](const pci::sbdf_pattern& pattern) {
    const auto added = expanded(pattern);
    const std::lock_guard lock(mutex_);
    slots_.insert(added.begin(), added.end());
  });
}

// A function that is held keeps its slot until it is unbound: the kernel's driver forgets it at once, and has then
// functions that it would not take again.
pci::result<void> pciback::remove_slot(std::string_view text) {
  const auto pattern = pci::parse_pattern(text);
  if (!pattern) {
    return tl::unexpected(pattern.error());
  }
  const auto all = slots();
  if (!all) {
    return tl::unexpected(all.error());
  }
  const auto matches = [&](const pci::sbdf& address) { return pattern->matches(address); };
  const std::lock_guard lock(mutex_);
  std::erase_if(slots_, matches);
  return std::any_of(all->begin(), all->end(), matches)
             ? pci::result<void>{}
             : pci::fail(ENOENT, fmt::format("no slot matches \"{}\"", text));
}

pci::result<void> pciback::bind(std::string_view text) {
  const auto address = parse_device_name(text);
  if (!address) {
    return tl::unexpected(address.error());
  }
  const auto all = slots();
  if (!all) {
    return tl::unexpected(all.error());
  }
  if (std::find(all->begin(), all->end(), *address) == all->end()) {
    return pci::fail(ENODEV, fmt::format("{} has no slot", pci::to_string(*address)));
  }
  // The driver core calls a device that has its driver busy.
  return daemon_.hold(*address).map_error([](pci::failure why) {
    why.error = why.error == EEXIST ? EBUSY : why.error;
    return why;
  });
}

pci::result<void> pciback::unbind(const pci::sbdf& address) {
  auto done = daemon_.release(address);
  if (done) {
    const std::lock_guard lock(mutex_);
    slots_.insert(address);
  }
  return done;
}

pci::result<void> pciback::toggle_handler(std::string_view text) {
  const auto address = one_function(text, ENOENT);
  if (!address) {
    return tl::unexpected(address.error());
  }
  const auto functions = daemon_.list();
  if (!functions) {
    return tl::unexpected(functions.error());
  }
  const auto found =
      std::find_if(functions->begin(), functions->end(), [&](const function& one) { return one.address == *address; });
  if (found == functions->end()) {
    return pci::fail(ENOENT, fmt::format("{} is not held", pci::to_string(*address)));
  }
  return daemon_.acknowledge(*address, !found->handler);
}

} // namespace sysfs_program
