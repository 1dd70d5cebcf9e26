// SPDX-License-Identifier: GPL-2.0-or-later
// How dom0's kernel resets functions: sysfs `reset_method` and `reset` (Linux 5.15), `reset_subordinate` of the bridge
// above (Linux 6.14).
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "platform/linux/pci_host.hpp"

namespace platform::linux_host {
namespace {

/// The device's directory is a link into that of the bridge.
std::string bridge_reset(const pci::sbdf& address) { return device(address) + "/../reset_subordinate"; }

std::vector<pci::reset_method> parse_methods(std::string_view text) {
  std::vector<pci::reset_method> methods;
  for (text = trim(text); !text.empty(); text = trim(text)) {
    const auto word = text.substr(0, text.find_first_of(" \t"));
    if (const auto method = pci::parse_reset_method(word))
      methods.push_back(*method);
    text.remove_prefix(word.size());
  }
  return methods;
}

} // namespace

pci::result<std::vector<pci::reset_option>> pci_host::reset_options(const pci::sbdf& address) {
  if (auto there = exists(address); !there)
    return tl::unexpected(there.error());
  // A reset of a physical function ends its virtual functions (SR-IOV 1.1, 2.2.2).
  std::vector<pci::sbdf> virtual_functions;
  for (const auto& name : files_.entries(device(address)))
    if (const auto link = files_.target(device(address) + "/" + name); name.starts_with("virtfn") && link)
      if (const auto function = pci::parse_sbdf(*link))
        virtual_functions.push_back(*function);
  std::vector<pci::reset_option> options;
  const auto words = files_.read(device(address) + "/reset_method");
  for (const auto method : parse_methods(words.value_or(std::string{})))
    options.push_back({method, virtual_functions});
  if (!words && files_.exists(device(address) + "/reset"))
    options.push_back({pci::reset_method::unnamed, virtual_functions});
  const auto is_bus = [](const auto& option) { return option.method == pci::reset_method::bus; };
  // The kernel offers the bus as a function's own only where no other is on it.
  if (std::ranges::none_of(options, is_bus) && files_.exists(bridge_reset(address))) {
    pci::reset_option whole_bus{pci::reset_method::bus, {}};
    for (const auto& other : list())
      if (other != address && other.segment == address.segment && other.bus == address.bus)
        whole_bus.hits.push_back(other);
    options.push_back(std::move(whole_bus));
  }
  return options;
}

std::string pci_host::boot_id() {
  return std::string{trim(processes_.read("sys/kernel/random/boot_id").value_or(std::string{}))};
}

pci::result<void> pci_host::reset(const pci::sbdf& address, pci::reset_method how) {
  if (auto there = exists(address); !there)
    return there;
  if (how == pci::reset_method::unnamed)
    return files_.write(device(address) + "/reset", "1");
  const auto file = device(address) + "/reset_method";
  const auto before = files_.read(file).value_or(std::string{});
  const auto methods = parse_methods(before);
  if (std::ranges::find(methods, how) == methods.end()) {
    if (how == pci::reset_method::bus && files_.exists(bridge_reset(address)))
      return files_.write(bridge_reset(address), "1");
    return pci::fail(ENOTSUP, fmt::format("{} cannot be reset by {}", pci::to_string(address), to_string(how)));
  }
  // The kernel begins with the first of its list, and goes on where a method is not there after all; whom that hits is
  // the same for all of them. Only for another the list is made shorter for a while: a daemon that is killed in the
  // middle of a reset does not give it back.
  const bool first = methods.front() == how;
  if (auto chosen = first ? pci::result<void>{} : files_.write(file, to_string(how)); !chosen)
    return chosen;
  auto done = files_.write(device(address) + "/reset", "1");
  auto restored = first ? pci::result<void>{} : files_.write(file, trim(before));
  if (!done && done.error().error == ENOTTY) // it had the method when the kernel looked, at boot
    return pci::fail(ENOTSUP, done.error().context);
  return done ? restored : done;
}

} // namespace platform::linux_host
