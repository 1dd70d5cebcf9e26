// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/toolstack_nodes.hpp"

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "actors/domain_ids.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/paths.hpp"
#include "actors/xenstore/sure_reads.hpp"

namespace actors {
namespace {

using pci::xenbus_state;
using platform::store_operations;

/// The nodes of one device, in libxl's order.
constexpr std::array<const char*, 7> device_keys = {"state", "key", "dev", "vdev", "opts", "vdevfn", "name"};

std::optional<unsigned> index_of(store_operations& store, const std::string& directory, const pci::sbdf& address) {
  const auto count = device_count(store, directory);
  for (unsigned index = 0; index < count; ++index) {
    const auto dev = store.read(fmt::format("{}/dev-{}", directory, index));
    if (dev && pci::parse_node_sbdf(*dev) == address) {
      return index;
    }
  }
  return std::nullopt;
}

struct node {
  std::string path;
  std::string value;
};

pci::result<void> write_all(store_operations& store, const std::vector<node>& nodes) {
  for (const auto& [path, value] : nodes) {
    if (auto written = store.write(path, value); !written) {
      return written;
    }
  }
  return {};
}

pci::result<void> make_owned(store_operations& store, const std::string& path, messages::domain_id owner,
                             messages::domain_id reader) {
  const std::array<platform::node_permission, 2> who = {{{owner, false, false}, {reader, true, false}}};
  static_cast<void>(store.remove(path));
  auto made = store.make_directory(path);
  return made ? store.set_permissions(path, who) : made;
}

pci::result<void> make_directories(store_operations& store, messages::domain_id domain) {
  const auto back = paths::backend(domain);
  const auto front = paths::frontend(domain);
  auto made = make_owned(store, front, domain, 0);
  if (made) {
    made = make_owned(store, back, 0, domain);
  }
  if (!made) {
    return made;
  }
  const auto name = store.read(paths::home(domain, "name")).value_or(std::string{});
  return write_all(store, {
                              {back + "/frontend", front},
                              {back + "/frontend-id", fmt::format("{}", domain)},
                              {back + "/online", "1"},
                              {back + "/state", "1"},
                              {back + "/domain", name},
                              {front + "/backend", back},
                              {front + "/backend-id", "0"},
                              {front + "/state", "1"},
                          });
}

pci::result<void> add_device_nodes(store_operations& store, messages::domain_id domain, const pci::sbdf& address,
                                   const device_options& options) {
  const auto back = paths::backend(domain);
  const auto index = device_count(store, back);
  const auto text = pci::to_string(address);
  return write_all(store, {
                              {fmt::format("{}/key-{}", back, index), text},
                              {fmt::format("{}/dev-{}", back, index), text},
                              {fmt::format("{}/opts-{}", back, index),
                               fmt::format("msitranslate=0,power_mgmt=0,permissive={},rdm_policy={}",
                                           options.permissive ? 1 : 0, pci::to_string(options.rdm))},
                              {fmt::format("{}/state-{}", back, index), "1"},
                              {back + "/num_devs", fmt::format("{}", index + 1)},
                              {paths::libxl_function(address, "domid"), fmt::format("{}", domain)},
                          });
}

pci::failure busy(messages::domain_id domain) {
  return {EAGAIN, fmt::format("the PCI backend of domain {} is being reconfigured", domain)};
}

/// Moves a device's nodes to another index, absent ones included.
pci::result<void> move_device(store_operations& store, const std::string& back, unsigned from, unsigned to) {
  for (const auto* key : device_keys) {
    const auto value = store.read(fmt::format("{}/{}-{}", back, key, from));
    const auto target = fmt::format("{}/{}-{}", back, key, to);
    auto moved = value ? store.write(target, *value) : store.remove(target);
    if (!moved) {
      return moved;
    }
  }
  return {};
}

} // namespace

namespace {

// Its number, its name, and the name that it has when nobody gave it one.
bool is_dom0(platform::store& store, const std::string& text, std::optional<std::uint64_t> number) {
  const auto name = store.read(paths::home(0, "name"));
  return number == 0 || text == "Domain-0" || (name && *name == text);
}

} // namespace

pci::result<messages::domain_id> resolve_domain(platform::store& store, const std::string& text) {
  const auto number = pci::parse_number(text, largest_domain);
  if (is_dom0(store, text, number)) {
    return tl::unexpected(dom0_is_no_guest());
  }
  if (number && store.read(paths::home(static_cast<messages::domain_id>(*number), "domid"))) {
    return static_cast<messages::domain_id>(*number);
  }
  for (const auto domain : list_domains(store)) {
    const auto name = store.read(paths::home(domain, "name"));
    if (name && !text.empty() && *name == text) {
      return domain;
    }
  }
  return pci::fail(ESRCH, fmt::format("there is no domain \"{}\": `xl list` shows those that are there", text));
}

std::vector<messages::domain_id> list_domains(platform::store& store) {
  std::vector<messages::domain_id> domains;
  for (const auto& entry : store.list(paths::domains).value_or(std::vector<std::string>{})) {
    if (const auto domain = pci::parse_number(entry, largest_domain); domain && *domain != 0) {
      domains.push_back(static_cast<messages::domain_id>(*domain));
    }
  }
  return domains;
}

std::optional<messages::domain_id> claimed_by(platform::store& store, const pci::sbdf& address) {
  const auto note = store.read(paths::libxl_function(address, "domid"));
  const auto domain = note ? pci::parse_number(*note, largest_domain) : std::nullopt;
  if (!domain || !store.read(paths::home(static_cast<messages::domain_id>(*domain), "domid"))) {
    return std::nullopt;
  }
  return static_cast<messages::domain_id>(*domain);
}

std::optional<messages::domain_id> served_in(platform::store& store, const pci::sbdf& address) {
  for (const auto domain : list_backends(store).value_or(std::vector<messages::domain_id>{})) {
    if (store.read(paths::home(domain, "domid")) && index_of(store, paths::backend(domain), address)) {
      return domain;
    }
  }
  return std::nullopt;
}

pci::result<void> check_unclaimed(platform::store& any_store, const pci::sbdf& address) {
  return with_sure_reads(any_store, [&](platform::store& store) -> pci::result<void> {
    if (const auto owner = claimed_by(store, address)) {
      return pci::fail(EBUSY, fmt::format("{} belongs to domain {} already", pci::to_string(address), *owner));
    }
    // libxl takes its note away when it gives up on a detach, and the guest goes on with what it has.
    if (const auto domain = served_in(store, address)) {
      return pci::fail(EBUSY,
                       fmt::format("{} is in the backend directory of domain {}", pci::to_string(address), *domain));
    }
    return {};
  });
}

std::string noted_driver(platform::store& store, const pci::sbdf& address) {
  const auto path = store.read(paths::libxl_function(address, "driver_path")).value_or(std::string{});
  return path.substr(path.find_last_of('/') + 1);
}

pci::result<void> note_driver(platform::store& store, const pci::sbdf& address, const std::string& driver) {
  const auto node = paths::libxl_function(address, "driver_path");
  return driver.empty() ? store.remove(node) : store.write(node, "/sys/bus/pci/drivers/" + driver);
}

pci::result<void> add_device(platform::store& store, messages::domain_id domain, const pci::sbdf& address,
                             const device_options& options, bool plug) {
  return transact_surely(store, [&](store_operations& inside) -> pci::result<void> {
    const auto back = paths::backend(domain);
    if (!inside.read(paths::home(domain, "domid"))) {
      return pci::fail(ESRCH, fmt::format("domain {} is gone", domain)); // nobody would remove its directories
    }
    const auto exists = inside.read(back + "/frontend-id").has_value();
    const auto state = exists ? read_state(inside, back + "/state") : xenbus_state::unknown;
    if (exists && index_of(inside, back, address)) {
      return pci::fail(EEXIST, fmt::format("domain {} has {} already", domain, pci::to_string(address)));
    }
    if (!exists || device_count(inside, back) == 0) {
      auto made = make_directories(inside, domain);
      return made ? add_device_nodes(inside, domain, address, options) : made;
    }
    if (state == xenbus_state::closing || state == xenbus_state::closed) {
      return pci::fail(EPIPE, fmt::format("the PCI bus of domain {} is closed", domain));
    }
    if (state != xenbus_state::initialised && (state != xenbus_state::connected || !plug)) {
      return tl::unexpected(busy(domain));
    }
    if (device_count(inside, back) == max_devices) {
      return pci::fail(ENOSPC, fmt::format("domain {} has {} devices, and can have no more", domain, max_devices));
    }
    auto added = add_device_nodes(inside, domain, address, options);
    return added && state == xenbus_state::connected ? inside.write(back + "/state", "7") : added;
  });
}

pci::result<addition> look_at_addition(platform::store& store, messages::domain_id domain, const pci::sbdf& address) {
  addition found;
  auto looked = transact_surely(store, [&](store_operations& inside) -> pci::result<void> {
    found = {};
    const auto back = paths::backend(domain);
    const auto state = read_state(inside, back + "/state");
    const auto index = index_of(inside, back, address);
    const auto closed = state == xenbus_state::closing || state == xenbus_state::closed || !index;
    const auto device = index ? read_state(inside, fmt::format("{}/state-{}", back, *index)) : xenbus_state::closed;
    if (closed || device == xenbus_state::closed) {
      found.how = progress::refused;
      found.error = inside.read(paths::backend_error(domain)).value_or(std::string{});
    } else if (device == xenbus_state::initialised &&
               (state == xenbus_state::initialised || state == xenbus_state::connected)) {
      const auto seen =
          pci::parse_node_sbdf(inside.read(fmt::format("{}/vdev-{}", back, *index)).value_or(std::string{}));
      found.how = seen ? progress::done : progress::waiting;
      found.virtual_address = seen.value_or(pci::sbdf{});
    }
    return {};
  });
  // Outside the transaction, as all that the guest writes.
  found.frontend_error = frontend_error(store, domain);
  return looked ? pci::result<addition>(found) : tl::unexpected(looked.error());
}

pci::result<void> begin_removal(platform::store& store, messages::domain_id domain, const pci::sbdf& address,
                                bool plug) {
  return transact_surely(store, [&](store_operations& inside) -> pci::result<void> {
    const auto back = paths::backend(domain);
    const auto index = index_of(inside, back, address);
    if (!index) {
      return pci::fail(ENOENT, fmt::format("domain {} does not have {}", domain, pci::to_string(address)));
    }
    const auto state = read_state(inside, back + "/state");
    if (state == xenbus_state::closed) {
      return {}; // the guest has let go of everything
    }
    if (state == xenbus_state::initialised && !plug) {
      return {};
    }
    if ((state != xenbus_state::initialised && state != xenbus_state::connected) || !plug) {
      return tl::unexpected(busy(domain));
    }
    return write_all(inside, {{fmt::format("{}/state-{}", back, *index), "5"}, {back + "/state", "7"}});
  });
}

pci::result<progress> look_at_removal(platform::store& store, messages::domain_id domain) {
  const auto state = store.read(paths::backend(domain) + "/state");
  if (!state) {
    return state.error().error == ENOENT ? pci::result<progress>(progress::done) : tl::unexpected(state.error());
  }
  switch (pci::parse_state(*state)) {
  case xenbus_state::reconfiguring:
  case xenbus_state::reconfigured:
  case xenbus_state::closing:
    return progress::waiting;
  default:
    return progress::done;
  }
}

pci::result<void> remove_device(platform::store& store, messages::domain_id domain, const pci::sbdf& address) {
  return transact_surely(store, [&](store_operations& inside) -> pci::result<void> {
    static_cast<void>(inside.remove(paths::libxl_function(address, "domid")));
    const auto back = paths::backend(domain);
    const auto index = index_of(inside, back, address);
    if (!index) {
      return {};
    }
    const auto count = device_count(inside, back);
    if (count == 1) {
      auto removed = inside.remove(back);
      const auto parent = paths::backend_parent(domain);
      if (const auto rest = inside.list(parent); removed && rest && rest->empty()) {
        removed = inside.remove(parent);
      }
      return removed ? inside.remove(paths::frontend(domain)) : removed;
    }
    // The one after the last has no nodes: moving it onto the last deletes those.
    for (auto from = *index + 1; from <= count; ++from) {
      if (auto moved = move_device(inside, back, from, from - 1); !moved) {
        return moved;
      }
    }
    return inside.write(back + "/num_devs", fmt::format("{}", count - 1));
  });
}

} // namespace actors
