// SPDX-License-Identifier: GPL-2.0-or-later
// What libxl does for `xl create` with pci=, pci-attach, pci-detach and destroy of a PV guest (libxl_pci.c of Xen
// 4.17).
#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "platform/sim/host.hpp"

namespace platform::sim {
namespace {

std::string text(const char* format, const pci::sbdf& a) {
  return fmt::format(fmt::runtime(format), a.segment, a.bus, a.slot(), a.function());
}
std::string sysfs_name(const pci::sbdf& address) { return text("{:04x}:{:02x}:{:02x}.{:01x}", address); }
std::string claim_path(const pci::sbdf& address) {
  return "/libxl/pci/" + text("{:04x}-{:02x}-{:02x}-{:01x}", address);
}

int number(store_operations& store, const std::string& path) {
  const auto value = store.read(path);
  int parsed = 0;
  if (value)
    std::from_chars(value->data(), value->data() + value->size(), parsed);
  return parsed;
}

constexpr std::array device_nodes{"key", "dev", "vdevfn", "name", "opts", "state", "vdev"};

/// Deletes the nodes of device `index` and gives those above it the number below.
void renumber(store_operations& store, const std::string& back, unsigned index, unsigned count) {
  for (unsigned i = index; i < count; ++i)
    for (const auto* name : device_nodes) {
      const auto next = store.read(fmt::format("{}/{}-{}", back, name, i + 1));
      const auto here = fmt::format("{}/{}-{}", back, name, i);
      if (i + 1 < count && next)
        (void)store.write(here, *next);
      else
        (void)store.remove(here);
    }
}

} // namespace

int host::backend_state(domain_id domain) { return number(tools(), backend_path(domain) + "/state"); }

std::optional<unsigned> host::device_index(domain_id domain, const pci::sbdf& address) {
  const auto back = backend_path(domain);
  const auto count = static_cast<unsigned>(number(tools(), back + "/num_devs"));
  for (unsigned i = 0; i < count; ++i)
    if (tools().read(fmt::format("{}/dev-{}", back, i)).value_or("") == sysfs_name(address))
      return i;
  return std::nullopt;
}

/// Permissions page by page, and the line's pirq with the number of its GSI.
pci::result<void> host::give_access(domain_id domain, const pci::sbdf& address, bool allow) {
  const auto what = pci_.describe(address);
  if (!what)
    return tl::unexpected(what.error());
  for (const auto& resource : what->resources) {
    if (resource.size() == 0)
      continue;
    auto done = resource.is_io() ? xen_.permit_ports(domain, static_cast<std::uint32_t>(resource.start),
                                                     static_cast<std::uint32_t>(resource.size()), allow)
                                 : xen_.permit_memory(domain, resource.start >> 12,
                                                      (resource.end >> 12) - (resource.start >> 12) + 1, allow);
    if (!done)
      return done;
  }
  if (what->irq == 0 || what->irq > 254)
    return {};
  if (allow)
    if (auto mapped = xen_.map_gsi(domain, what->irq); !mapped)
      return mapped;
  if (!allow)
    (void)xen_.unmap_pirq(domain, static_cast<std::uint16_t>(what->irq));
  return xen_.permit_irq(domain, what->irq, allow);
}

pci::result<void> host::add_device_nodes(domain_id domain, const pci::sbdf& address, bool at_boot) {
  const auto back = backend_path(domain), front = frontend_path(domain);
  const std::array<node_permission, 2> back_rights{node_permission{0, false, false}, {domain, true, false}};
  const std::array<node_permission, 2> front_rights{node_permission{domain, false, false}, {0, true, false}};
  return tools().transact(
      [&](store_operations& store) -> result<void> {
        const auto count = store.read(back + "/num_devs");
        const auto index = static_cast<unsigned>(number(store, back + "/num_devs"));
        if (!count) {
          (void)store.make_directory(front);
          (void)store.set_permissions(front, front_rights);
          for (const auto& [name, value] :
               {std::pair<const char*, std::string>{"backend", back}, {"backend-id", "0"}, {"state", "1"}})
            (void)store.write(fmt::format("{}/{}", front, name), value);
          (void)store.make_directory(back);
          (void)store.set_permissions(back, back_rights);
          const auto name = store.read(fmt::format("/local/domain/{}/name", domain)).value_or("");
          for (const auto& [key, value] : {std::pair<const char*, std::string>{"frontend", front},
                                           {"frontend-id", std::to_string(domain)},
                                           {"online", "1"},
                                           {"state", "1"},
                                           {"domain", name}})
            (void)store.write(fmt::format("{}/{}", back, key), value);
        }
        (void)store.write(fmt::format("{}/key-{}", back, index), sysfs_name(address));
        (void)store.write(fmt::format("{}/dev-{}", back, index), sysfs_name(address));
        (void)store.write(fmt::format("{}/opts-{}", back, index),
                          "msitranslate=0,power_mgmt=0,permissive=0,rdm_policy=strict");
        (void)store.write(fmt::format("{}/state-{}", back, index), "1");
        if (auto written = store.write(back + "/num_devs", std::to_string(index + 1)); !written || !count || at_boot)
          return written;
        return store.write(back + "/state", "7");
      },
      16);
}

pci::result<void> host::toolstack_attach(domain_id domain, const pci::sbdf& address, bool at_boot) {
  const bool first = !tools().read(backend_path(domain) + "/num_devs");
  if (!at_boot && !first && backend_state(domain) != 4)
    return pci::fail(EAGAIN,
                     fmt::format("pci-attach {}: backend state {}", sysfs_name(address), backend_state(domain)));
  if (tools().read(claim_path(address) + "/domid"))
    return pci::fail(EBUSY, fmt::format("pci-attach {}: not assignable", sysfs_name(address)));
  if (auto claimed = tools().write(claim_path(address) + "/domid", std::to_string(domain)); !claimed)
    return claimed;
  (void)pci_.reset(address); // a failure is only logged
  auto done = give_access(domain, address, true);
  if (done)
    done = xen_.assign(domain, address, pci::rdm_policy::strict);
  if (done)
    done = add_device_nodes(domain, address, at_boot);
  if (!done)
    (void)tools().remove(claim_path(address) + "/domid");
  return done;
}

pci::result<void> host::toolstack_detach(domain_id domain, const pci::sbdf& address) {
  const auto index = device_index(domain, address);
  if (!index)
    return pci::fail(ENOENT, fmt::format("pci-detach {}: not attached to domain {}", sysfs_name(address), domain));
  (void)give_access(domain, address, false);
  (void)pci_.reset(address);
  (void)xen_.toolstack_deassign(domain, address);
  if (backend_state(domain) != 4) {
    (void)tools().remove(claim_path(address) + "/domid");
    return pci::fail(EAGAIN,
                     fmt::format("pci-detach {}: backend state {}", sysfs_name(address), backend_state(domain)));
  }
  const auto back = backend_path(domain);
  return tools().transact(
      [&](store_operations& store) -> result<void> {
        (void)store.write(fmt::format("{}/state-{}", back, *index), "5");
        return store.write(back + "/state", "7");
      },
      16);
}

pci::result<void> host::toolstack_finish_detach(domain_id domain, const pci::sbdf& address) {
  if (device_index(domain, address) && backend_state(domain) == 4)
    return remove_device_nodes(domain, address);
  (void)tools().remove(claim_path(address) + "/domid");
  return pci::fail(EAGAIN, fmt::format("pci-detach {}: backend state {}", sysfs_name(address), backend_state(domain)));
}

pci::result<void> host::remove_device_nodes(domain_id domain, const pci::sbdf& address) {
  const auto index = device_index(domain, address);
  (void)tools().remove(claim_path(address) + "/domid");
  const auto back = backend_path(domain);
  if (!index)
    return pci::fail(ENOENT, fmt::format("pci-detach {}: no such node", sysfs_name(address)));
  return tools().transact(
      [&](store_operations& store) -> result<void> {
        const auto count = static_cast<unsigned>(number(store, back + "/num_devs"));
        if (count <= 1) {
          (void)store.remove(frontend_path(domain));
          return store.remove(back);
        }
        renumber(store, back, *index, count);
        return store.write(back + "/num_devs", std::to_string(count - 1));
      },
      16);
}

pci::result<void> host::toolstack_detach(domain_id domain, const pci::sbdf& address, waiter& wait) {
  using namespace std::chrono_literals;
  const auto connected = [&] { return backend_state(domain) == 4; };
  (void)wait.wait_until(connected, 10s);
  if (auto asked = toolstack_detach(domain, address); !asked)
    return asked;
  (void)wait.wait_until(connected, 10s);
  return toolstack_finish_detach(domain, address);
}

void host::toolstack_destroy(domain_id domain) {
  destroy(domain);
  (void)tools().remove(fmt::format("/local/domain/{}", domain));
  (void)tools().remove(fmt::format("/libxl/{}", domain));
}

} // namespace platform::sim
