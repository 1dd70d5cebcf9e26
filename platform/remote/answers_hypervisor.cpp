// SPDX-License-Identifier: GPL-2.0-or-later
// Hypercalls for the worker. What gives something needs a guest and a function that is held; what takes something away
// needs the function alone, for the guest may be gone.
#include <fmt/format.h>

#include "pci/protocol/xenbus.hpp"
#include "pci/protocol/xenstore_paths.hpp"
#include "platform/remote/dispatch.hpp"
#include "platform/remote/node_rules.hpp"

namespace platform::remote {
namespace {

using all_of = server::surroundings;

pci::result<void> nothing_more(const pci::function& /*held*/) { return {}; }

/// For a guest, and a function that no driver of dom0's has.
pci::result<void> check_gift(const all_of& all, domain_id domain, const pci::sbdf& address) {
  return all.known.check_guest(domain).and_then([&] { return all.known.held(address).and_then(nothing_more); });
}

pci::result<void> check_taking(const all_of& all, domain_id domain, const pci::sbdf& address) {
  if (!can_be_guest(domain) && domain != domid_io)
    return refuse(fmt::format("domain {} is no guest", domain));
  return all.known.reference(address).and_then(nothing_more);
}

/// By the reference that this process took itself: Xen dies of another function.
pci::result<msix_function> with_msix(const pci::function& reference) {
  const auto found = msix_function::seen_in(reference);
  if (!found)
    return refuse(pci::to_string(reference.address) + " had no MSI-X when it was held");
  return *found;
}

/// Looked at here, right before the call: Xen dies when it cannot reach a mask.
pci::result<void> restore_messages(const all_of& all, const pci::sbdf& address) {
  return all.known.held(address).and_then([&](const pci::function& reference) -> pci::result<void> {
    const auto port = all.where.pci().open_config(address);
    if (!port)
      return tl::unexpected(port.error());
    const auto parent = all.where.pci().open_config(reference.physical_function.value_or(address));
    if (!parent)
      return tl::unexpected(parent.error());
    const auto found = restorable_function::look(reference, **port, **parent);
    if (!found)
      return tl::unexpected(found.error());
    return *found ? all.where.xen().restore_msi(**found) : pci::result<void>{};
  });
}

/// To a guest: one that the toolstack has made a directory, or will when this has succeeded, as pcibackd's own attach
/// and libxl do it. Xen refuses what another guest has.
pci::result<void> assign(const all_of& all, domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) {
  if (domain == domid_io)
    return all.known.reference(address).and_then(
        [&](const pci::function& /*held*/) { return all.where.xen().assign(domain, address, rdm); });
  if (!can_be_guest(domain))
    return refuse(fmt::format("domain {} is no guest", domain));
  return all.known.held(address)
      .and_then([&](const pci::function& /*held*/) { return all.where.xen().assign(domain, address, rdm); })
      .map([&] { all.known.note_guest(domain); });
}

/// A right that is given, or taken away: from whomever that can be a guest.
pci::result<void> check_right(const all_of& all, domain_id domain, bool allow) {
  if (allow)
    return all.known.check_guest(domain);
  if (!can_be_guest(domain))
    return refuse(fmt::format("domain {} is no guest", domain));
  return {};
}

void add_message_calls(dispatch& to, const all_of& all) {
  auto& xen = all.where.xen();
  to.on<of::map_msi>([all, &xen](domain_id domain, const pci::sbdf& address) {
    return check_gift(all, domain, address).and_then([&] { return xen.map_msi(domain, address); });
  });
  to.on<of::map_msix>([all, &xen](domain_id domain, const pci::sbdf& address, std::uint16_t entry, std::uint64_t base) {
    return check_gift(all, domain, address)
        .and_then([&] { return all.known.check_frames(base >> 12U, 1); })
        .and_then([&] { return xen.map_msix(domain, address, entry, base); });
  });
  to.on<of::unmap_pirq>([all, &xen](domain_id domain, std::uint16_t pirq) {
    return all.known.check_guest_or_gone(domain).and_then([&] { return xen.unmap_pirq(domain, pirq); });
  });
  to.on<of::prepare_msix>([all, &xen](const pci::sbdf& address) {
    return all.known.held(address).and_then(with_msix).and_then(
        [&](const msix_function& function) { return xen.prepare_msix(function); });
  });
  to.on<of::release_msix>([all, &xen](const pci::sbdf& address) {
    return all.known.reference(address).and_then(with_msix).and_then(
        [&](const msix_function& function) { return xen.release_msix(function); });
  });
  to.on<of::restore_msi>([all](const pci::sbdf& address) { return restore_messages(all, address); });
}

void add_right_calls(dispatch& to, const all_of& all) {
  auto& xen = all.where.xen();
  to.on<of::assign>([all](domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) {
    return assign(all, domain, address, rdm);
  });
  to.on<of::deassign>([all, &xen](domain_id domain, const pci::sbdf& address) {
    return check_taking(all, domain, address).and_then([&] { return xen.deassign(domain, address); });
  });
  to.on<of::permit_memory>([all, &xen](domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) {
    return check_right(all, domain, allow).and_then([&] { return all.known.check_frames(first, count); }).and_then([&] {
      return xen.permit_memory(domain, first, count, allow);
    });
  });
  to.on<of::permit_ports>([all, &xen](domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) {
    return check_right(all, domain, allow).and_then([&] { return all.known.check_ports(first, count); }).and_then([&] {
      return xen.permit_ports(domain, first, count, allow);
    });
  });
  to.on<of::permit_irq>([all, &xen](domain_id domain, std::uint32_t pirq, bool allow) {
    return check_right(all, domain, allow).and_then([&] { return all.known.check_line(pirq); }).and_then([&] {
      return xen.permit_irq(domain, pirq, allow);
    });
  });
  to.on<of::map_gsi>([all, &xen](domain_id domain, std::uint32_t gsi) {
    return all.known.check_guest(domain).and_then([&] { return all.known.check_line(gsi); }).and_then([&] {
      return xen.map_gsi(domain, gsi);
    });
  });
}

/// The guest has published this number in its own directory: nothing else of it is any business of the worker's. It may
/// publish another at any moment.
pci::result<void> check_published(const all_of& all, domain_id domain, const char* node, std::uint32_t number) {
  return all.known.check_guest(domain).and_then([&]() -> pci::result<void> {
    const auto path = pci::paths::in(pci::paths::frontend(domain), node);
    const auto text = all.where.xenstore().read(path);
    if (!text || pci::parse_number(*text, 0xffffffff) != number)
      return refuse_as_overtaken(fmt::format("{} is not what {} says", number, path));
    return {};
  });
}

} // namespace

void add_hypervisor_calls(dispatch& to, const all_of& all) {
  auto& xen = all.where.xen();
  add_message_calls(to, all);
  add_right_calls(to, all);
  to.on<of::has_guest>([&xen](const pci::sbdf& address) { return xen.has_guest(address); });
  to.on<of::vectors_a_guest>([&xen] { return pci::result<std::uint32_t>(xen.vectors_a_guest()); });
  to.on<of::processors>([&xen] { return pci::result<std::uint32_t>(xen.processors()); });
  to.on<of::line_shared>([&xen](std::uint32_t gsi) { return xen.line_shared(gsi); });
  to.on<of::crash>([all, &xen](domain_id domain) {
    return all.known.check_guest(domain).and_then([&] { return xen.crash(domain); });
  });
  to.on<of::pause>([all, &xen](domain_id domain) {
    return all.known.check_guest(domain).and_then([&] { return xen.pause(domain); });
  });
  to.on<of::domain>([&xen](domain_id domain) { return pci::result<std::optional<domain_info>>(xen.domain(domain)); });
  to.on<of::map_page>([all](domain_id domain, std::uint32_t reference) {
    return check_published(all, domain, pci::node::pci_op_ref, reference).and_then([&] {
      return all.hands.page(domain, reference);
    });
  });
  to.on<of::bind_channel>([all](domain_id domain, std::uint32_t remote) {
    return check_published(all, domain, pci::node::event_channel, remote).and_then([&] {
      return all.hands.channel(domain, remote);
    });
  });
}

} // namespace platform::remote
