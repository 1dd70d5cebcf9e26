// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/toolstack_nodes.hpp"

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "actors/domain_ids.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

using pci::xenbus_state;
using platform::store_operations;

/// The nodes of one device, in libxl's order.
constexpr std::array<const char*, 7> device_keys = {pci::node::state, pci::node::key,  pci::node::dev,
                                                    pci::node::vdev,  pci::node::opts, pci::node::vdevfn,
                                                    pci::node::name};

std::optional<unsigned> index_of(store_operations& store, const std::string& directory, const pci::sbdf& address) {
  const auto count = device_count(store, directory);
  for (unsigned index = 0; index < count; ++index) {
    const auto dev = store.read(pci::paths::in(directory, pci::node::dev, index));
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
  const auto back = pci::paths::backend(domain);
  const auto front = pci::paths::frontend(domain);
  auto made = make_owned(store, front, domain, 0);
  if (made) {
    made = make_owned(store, back, 0, domain);
  }
  if (!made) {
    return made;
  }
  const auto name = store.read(pci::paths::home(domain, pci::node::name)).value_or(std::string{});
  return write_all(store, {
                              {pci::paths::in(back, pci::node::frontend), front},
                              {pci::paths::in(back, pci::node::frontend_id), fmt::format("{}", domain)},
                              {pci::paths::in(back, pci::node::online), "1"},
                              {pci::paths::in(back, pci::node::state), "1"},
                              {pci::paths::in(back, pci::node::domain), name},
                              {pci::paths::in(front, pci::node::backend), back},
                              {pci::paths::in(front, pci::node::backend_id), "0"},
                              {pci::paths::in(front, pci::node::state), "1"},
                          });
}

pci::result<void> add_device_nodes(store_operations& store, messages::domain_id domain, const pci::sbdf& address,
                                   const device_options& options) {
  const auto back = pci::paths::backend(domain);
  const auto index = device_count(store, back);
  const auto text = pci::to_string(address);
  return write_all(store, {
                              {pci::paths::in(back, pci::node::key, index), text},
                              {pci::paths::in(back, pci::node::dev, index), text},
                              {pci::paths::in(back, pci::node::opts, index),
                               fmt::format("msitranslate=0,power_mgmt=0,permissive={},rdm_policy={}",
                                           options.permissive ? 1 : 0, pci::to_string(options.rdm))},
                              {pci::paths::in(back, pci::node::state, index), "1"},
                              {pci::paths::in(back, pci::node::num_devs), fmt::format("{}", index + 1)},
                              {pci::paths::libxl_function(address, pci::node::domid), fmt::format("{}", domain)},
                          });
}

pci::failure busy(messages::domain_id domain) {
  return {EAGAIN, fmt::format("the PCI backend of domain {} is being reconfigured", domain)};
}

/// Moves a device's nodes to another index, absent ones included.
pci::result<void> move_device(store_operations& store, const std::string& back, unsigned from, unsigned to) {
  for (const auto* key : device_keys) {
    const auto value = store.read(pci::paths::in(back, key, from));
    const auto target = pci::paths::in(back, key, to);
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
  const auto name = store.read(pci::paths::home(0, pci::node::name));
  return number == 0 || text == "Domain-0" || (name && *name == text);
}

} // namespace

pci::result<messages::domain_id> resolve_domain(platform::store& store, const std::string& text) {
  const auto number = pci::parse_number(text, largest_domain);
  if (is_dom0(store, text, number)) {
    return tl::unexpected(dom0_is_no_guest());
  }
  if (number && store.read(pci::paths::home(static_cast<messages::domain_id>(*number), pci::node::domid))) {
    return static_cast<messages::domain_id>(*number);
  }
  for (const auto domain : list_domains(store)) {
    const auto name = store.read(pci::paths::home(domain, pci::node::name));
    if (name && !text.empty() && *name == text) {
      return domain;
    }
  }
  return pci::fail(ESRCH, fmt::format("there is no domain \"{}\": `xl list` shows those that are there", text));
}

std::vector<messages::domain_id> list_domains(platform::store& store) {
  std::vector<messages::domain_id> domains;
  for (const auto& entry : store.list(pci::paths::domains).value_or(std::vector<std::string>{})) {
    if (const auto domain = pci::parse_number(entry, largest_domain); domain && *domain != 0) {
      domains.push_back(static_cast<messages::domain_id>(*domain));
    }
  }
  return domains;
}

std::optional<messages::domain_id> claimed_by(platform::store& store, const pci::sbdf& address) {
  const auto note = store.read(pci::paths::libxl_function(address, pci::node::domid));
  const auto domain = note ? pci::parse_number(*note, largest_domain) : std::nullopt;
  if (!domain || !store.read(pci::paths::home(static_cast<messages::domain_id>(*domain), pci::node::domid))) {
    return std::nullopt;
  }
  return static_cast<messages::domain_id>(*domain);
}

std::optional<messages::domain_id> served_in(platform::store& store, const pci::sbdf& address) {
  for (const auto domain : list_backends(store).value_or(std::vector<messages::domain_id>{})) {
    if (store.read(pci::paths::home(domain, pci::node::domid)) &&
        index_of(store, pci::paths::backend(domain), address)) {
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
  const auto path = store.read(pci::paths::libxl_function(address, pci::node::driver_path)).value_or(std::string{});
  return path.substr(path.find_last_of('/') + 1);
}

pci::result<void> note_driver(platform::store& store, const pci::sbdf& address, const std::string& driver) {
  const auto note = pci::paths::libxl_function(address, pci::node::driver_path);
  return driver.empty() ? store.remove(note) : store.write(note, pci::paths::driver_path(driver));
}

pci::result<void> add_device(platform::store& store, messages::domain_id domain, const pci::sbdf& address,
                             const device_options& options, bool plug) {
  return transact_surely(store, [&](store_operations& inside) -> pci::result<void> {
    const auto back = pci::paths::backend(domain);
    if (!inside.read(pci::paths::home(domain, pci::node::domid))) {
      return pci::fail(ESRCH, fmt::format("domain {} is gone", domain)); // nobody would remove its directories
    }
    const auto exists = inside.read(pci::paths::in(back, pci::node::frontend_id)).has_value();
    const auto state = exists ? read_state(inside, pci::paths::in(back, pci::node::state)) : xenbus_state::unknown;
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
    return added && state == xenbus_state::connected ? inside.write(pci::paths::in(back, pci::node::state), "7")
                                                     : added;
  });
}

pci::result<addition> look_at_addition(platform::store& store, messages::domain_id domain, const pci::sbdf& address) {
  addition found;
  auto looked = transact_surely(store, [&](store_operations& inside) -> pci::result<void> {
    found = {};
    const auto back = pci::paths::backend(domain);
    const auto state = read_state(inside, pci::paths::in(back, pci::node::state));
    const auto index = index_of(inside, back, address);
    const auto closed = state == xenbus_state::closing || state == xenbus_state::closed || !index;
    const auto device =
        index ? read_state(inside, pci::paths::in(back, pci::node::state, *index)) : xenbus_state::closed;
    if (closed || device == xenbus_state::closed) {
      found.how = progress::refused;
      found.error = inside.read(pci::paths::backend_error(domain)).value_or(std::string{});
    } else if (device == xenbus_state::initialised &&
               (state == xenbus_state::initialised || state == xenbus_state::connected)) {
      const auto seen =
          pci::parse_node_sbdf(inside.read(pci::paths::in(back, pci::node::vdev, *index)).value_or(std::string{}));
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
    const auto back = pci::paths::backend(domain);
    const auto index = index_of(inside, back, address);
    if (!index) {
      return pci::fail(ENOENT, fmt::format("domain {} does not have {}", domain, pci::to_string(address)));
    }
    const auto state = read_state(inside, pci::paths::in(back, pci::node::state));
    if (state == xenbus_state::closed) {
      return {}; // the guest has let go of everything
    }
    if (state == xenbus_state::initialised && !plug) {
      return {};
    }
    if ((state != xenbus_state::initialised && state != xenbus_state::connected) || !plug) {
      return tl::unexpected(busy(domain));
    }
    return write_all(
        inside, {{pci::paths::in(back, pci::node::state, *index), "5"}, {pci::paths::in(back, pci::node::state), "7"}});
  });
}

pci::result<progress> look_at_removal(platform::store& store, messages::domain_id domain) {
  const auto state = store.read(pci::paths::in(pci::paths::backend(domain), pci::node::state));
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
    static_cast<void>(inside.remove(pci::paths::libxl_function(address, pci::node::domid)));
    const auto back = pci::paths::backend(domain);
    const auto index = index_of(inside, back, address);
    if (!index) {
      return {};
    }
    const auto count = device_count(inside, back);
    if (count == 1) {
      auto removed = inside.remove(back);
      const auto parent = pci::paths::backend_parent(domain);
      if (const auto rest = inside.list(parent); removed && rest && rest->empty()) {
        removed = inside.remove(parent);
      }
      return removed ? inside.remove(pci::paths::frontend(domain)) : removed;
    }
    // The one after the last has no nodes: moving it onto the last deletes those.
    for (auto from = *index + 1; from <= count; ++from) {
      if (auto moved = move_device(inside, back, from, from - 1); !moved) {
        return moved;
      }
    }
    return inside.write(pci::paths::in(back, pci::node::num_devs), fmt::format("{}", count - 1));
  });
}

} // namespace actors
