// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/guest_kind.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "actors/domain_ids.hpp"
#include "actors/xenstore/guest_names.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "pci/protocol/xenbus.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {

std::optional<messages::domain_id> target_of(platform::store& store, messages::domain_id domain) {
  const auto text = store.read(pci::paths::home(domain, pci::node::target));
  const auto target = text ? pci::parse_number(*text, largest_domain) : std::nullopt;
  return target && *target != 0 && *target != domain ? std::optional(static_cast<messages::domain_id>(*target))
                                                     : std::nullopt;
}

pci::result<guest_kind> kind_of(platform::host& host, messages::domain_id domain) {
  return with_sure_reads(host.xenstore(), [&](platform::store& store) -> pci::result<guest_kind> {
    guest_kind guest;
    guest.domain = domain;
    guest.target = target_of(store, domain);
    const auto info = host.xen().domain(domain);
    if (!guest.target && info && info->hvm) {
      guest.pvh = store.read(pci::paths::libxl_domain(domain, pci::node::type)).value_or(std::string{}) == "pvh";
      guest.target = domain;
    }
    guest.name = names_of(store, guest.target.value_or(domain)).name;
    return guest;
  });
}

std::string describe(const guest_kind& guest) {
  const auto who = guest.target.value_or(guest.domain);
  auto text = guest.name.empty() ? fmt::format("domain {}", who) : fmt::format("{} ({})", guest.name, who);
  return guest.is_stub_domain() ? fmt::format("{}, by its stub domain {}", text, guest.domain) : text;
}

namespace {

pci::result<void> check_guest(const guest_kind& guest, std::string_view command, const pci::sbdf& address) {
  if (!guest.target) {
    return {};
  }
  if (guest.pvh) {
    return pci::fail(EOPNOTSUPP, fmt::format("{} is a PVH guest, and Xen gives those no functions", describe(guest)));
  }
  return pci::fail(EOPNOTSUPP, fmt::format("{} is an HVM guest, whose device model has to be told too: use "
                                           "`pcibackd-with-sysfs xl {} {} {}`",
                                           describe(guest), command,
                                           guest.name.empty() ? fmt::format("{}", *guest.target) : guest.name,
                                           pci::to_string(address)));
}

} // namespace

pci::result<void> check_needs_no_device_model(platform::host& host, messages::domain_id domain,
                                              std::string_view command, const pci::sbdf& address) {
  return kind_of(host, domain).and_then([&](const guest_kind& guest) { return check_guest(guest, command, address); });
}

} // namespace actors
