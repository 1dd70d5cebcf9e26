// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/backend_nodes.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "actors/domain_ids.hpp"
#include "actors/xenstore/guest_view.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "pci/address.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

using pci::xenbus_state;

constexpr std::uint32_t largest_number = 0xffffffff;

std::string read_or_empty(platform::store_operations& store, const std::string& path) {
  return store.read(path).value_or(std::string{});
}

std::optional<std::uint32_t> read_number(platform::store_operations& store, const std::string& path) {
  return pci::parse_number(read_or_empty(store, path), largest_number);
}

/// vdevfn-N as libxl writes it: "%x".
std::optional<std::uint8_t> read_devfn(platform::store_operations& store, const std::string& path) {
  const auto text = read_or_empty(store, path);
  std::uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional{value} : std::nullopt;
}

/// opts-N as libxl writes it: "key=value,key=value".
bool wants_permissive(std::string_view options) {
  while (!options.empty()) {
    const auto comma = options.find(',');
    if (options.substr(0, comma) == "permissive=1") {
      return true;
    }
    options = comma == std::string_view::npos ? std::string_view{} : options.substr(comma + 1);
  }
  return false;
}

/// "DDDD:BB" as this backend writes root-N.
std::optional<pci::topology::root> parse_root(std::string_view text) {
  const auto address = pci::parse_node_sbdf(fmt::format("{}:0.0", text));
  return address ? std::optional(pci::topology::root{address->segment, address->bus}) : std::nullopt;
}

void read_devices(platform::store_operations& store, const std::string& directory, pci::xenbus_nodes& nodes) {
  const auto count = device_count(store, directory);
  for (unsigned index = 0; index < count; ++index) {
    pci::device_nodes device;
    device.index = index;
    device.state = read_state(store, pci::paths::in(directory, pci::node::state, index));
    device.dev = read_or_empty(store, pci::paths::in(directory, pci::node::dev, index));
    device.vdev = read_or_empty(store, pci::paths::in(directory, pci::node::vdev, index));
    device.vdevfn = read_devfn(store, pci::paths::in(directory, pci::node::vdevfn, index));
    device.permissive = wants_permissive(read_or_empty(store, pci::paths::in(directory, pci::node::opts, index)));
    nodes.devices.push_back(std::move(device));
  }
}

void read_roots(platform::store_operations& store, const std::string& directory, pci::xenbus_nodes& nodes) {
  const auto count =
      std::min(read_number(store, pci::paths::in(directory, pci::node::root_num)).value_or(0), max_devices);
  for (unsigned index = 0; index < count; ++index) {
    if (const auto root = parse_root(read_or_empty(store, pci::paths::in(directory, pci::node::root, index)))) {
      nodes.roots.push_back(*root);
    }
  }
}

pci::result<void> read_backend(platform::store_operations& store, messages::domain_id domain,
                               pci::xenbus_nodes& nodes) {
  nodes = {};
  const auto directory = pci::paths::backend(domain);
  const auto frontend_id = store.read(pci::paths::in(directory, pci::node::frontend_id));
  if (!frontend_id) {
    return frontend_id.error().error == ENOENT ? pci::result<void>{} : tl::unexpected(frontend_id.error());
  }
  nodes.exists = pci::parse_number(*frontend_id, largest_number) == domain;
  nodes.backend = read_state(store, pci::paths::in(directory, pci::node::state));
  nodes.online = read_number(store, pci::paths::in(directory, pci::node::online)).value_or(1) != 0;
  nodes.frontend_path = read_or_empty(store, pci::paths::in(directory, pci::node::frontend));
  nodes.takes_hot_plug = !has_view(store, domain);
  read_devices(store, directory, nodes);
  read_roots(store, directory, nodes);
  return {};
}

/// What a frontend publishes.
struct frontend_nodes {
  xenbus_state state = xenbus_state::unknown;
  std::optional<std::uint32_t> grant_reference;
  std::optional<std::uint32_t> event_channel;
  std::string magic;
  friend bool operator==(const frontend_nodes&, const frontend_nodes&) = default;
};

frontend_nodes read_frontend_once(platform::store_operations& store, const std::string& directory) {
  frontend_nodes read;
  read.state = read_state(store, pci::paths::in(directory, pci::node::state));
  read.grant_reference = read_number(store, pci::paths::in(directory, pci::node::pci_op_ref));
  read.event_channel = read_number(store, pci::paths::in(directory, pci::node::event_channel));
  read.magic = read_or_empty(store, pci::paths::in(directory, pci::node::magic)).substr(0, 8);
  return read;
}

// Outside the transaction: a guest that writes its own directory all the time must not make it fail. Until two reads
// say the same, so that one frontend's page does not come with another's channel; not for ever.
void read_frontend(platform::store_operations& store, messages::domain_id domain, pci::xenbus_nodes& nodes) {
  constexpr int most_reads = 4;
  const auto directory = pci::paths::frontend(domain);
  auto read = read_frontend_once(store, directory);
  for (int reads = 1; reads < most_reads; ++reads) {
    const auto before = read;
    read = read_frontend_once(store, directory);
    if (read == before) {
      break;
    }
  }
  nodes.frontend = read.state;
  nodes.grant_reference = read.grant_reference;
  nodes.event_channel = read.event_channel;
  nodes.magic = read.magic;
  nodes.frontend_error = frontend_error(store, domain);
}

} // namespace

xenbus_state read_state(platform::store_operations& store, const std::string& path) {
  return pci::parse_state(read_or_empty(store, path));
}

unsigned device_count(platform::store_operations& store, const std::string& directory) {
  return std::min(read_number(store, pci::paths::in(directory, pci::node::num_devs)).value_or(0), max_devices);
}

std::string frontend_error(platform::store_operations& store, messages::domain_id domain) {
  constexpr std::size_t longest = 200;
  auto text = read_or_empty(store, pci::paths::frontend_error(domain)).substr(0, longest);
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

pci::result<pci::xenbus_nodes> read_nodes(platform::store& any_store, messages::domain_id domain) {
  return with_sure_reads(any_store, [&](platform::store& store) -> pci::result<pci::xenbus_nodes> {
    pci::xenbus_nodes nodes;
    auto read = store.transact([&](platform::store_operations& inside) { return read_backend(inside, domain, nodes); });
    if (!read) {
      return tl::unexpected(read.error());
    }
    read_frontend(store, domain, nodes);
    return nodes;
  });
}

pci::result<void> accept_guest(platform::store& store, messages::domain_id domain, bool own_view) {
  pci::result<void> shown;
  auto accepted = transact_surely(store, [&](platform::store_operations& inside) -> pci::result<void> {
    const auto directory = pci::paths::backend(domain);
    if (!inside.read(pci::paths::in(directory, pci::node::frontend_id)) ||
        read_state(inside, pci::paths::in(directory, pci::node::state)) != xenbus_state::initialising) {
      return pci::fail(EAGAIN, directory + " has changed meanwhile");
    }
    // A directory that was made anew has led the frontend back to itself.
    remove_view(inside, domain);
    shown = own_view ? make_view(inside, domain) : pci::result<void>{};
    auto written = inside.write(pci::paths::in(directory, pci::node::state), "2");
    return written ? write_view(inside, domain, {{pci::node::state, "2"}}) : written;
  });
  return accepted ? shown : accepted;
}

pci::result<void> call_frontend(platform::store& store, messages::domain_id domain) {
  return transact_surely(store, [&](platform::store_operations& inside) -> pci::result<void> {
    const auto state = pci::paths::in(pci::paths::frontend(domain), pci::node::state);
    return read_state(inside, state) == xenbus_state::closed ? inside.write(state, "1") : pci::result<void>{};
  });
}

pci::result<void> write_nodes(platform::store& store, messages::domain_id domain, xenbus_state seen,
                              const std::vector<pci::node_write>& writes,
                              const std::vector<pci::node_write>& expected) {
  const auto directory = pci::paths::backend(domain);
  return transact_surely(store, [&](platform::store_operations& inside) -> pci::result<void> {
    const auto same = [&](const pci::node_write& node) {
      return read_or_empty(inside, pci::paths::in(directory, node.name)) == node.value;
    };
    // A write below a directory that is gone would make it anew, a ghost that nobody removes.
    if (!inside.read(pci::paths::in(directory, pci::node::frontend_id)) ||
        read_state(inside, pci::paths::in(directory, pci::node::state)) != seen ||
        !std::ranges::all_of(expected, same)) {
      return pci::fail(EAGAIN, directory + " has changed meanwhile");
    }
    for (const auto& node : writes) {
      if (auto written = inside.write(pci::paths::in(directory, node.name), node.value); !written) {
        return written;
      }
    }
    return write_view(inside, domain, writes);
  });
}

pci::result<void> write_error(platform::store& store, messages::domain_id domain, const pci::failure& what) {
  return store.write(pci::paths::backend_error(domain), fmt::format("{} {}", what.error, what.context));
}

pci::result<void> write_aer_state(platform::store& store, messages::domain_id domain) {
  const auto directory = pci::paths::backend(domain);
  return store.transact([&](platform::store_operations& inside) -> pci::result<void> {
    const auto there = inside.read(pci::paths::in(directory, pci::node::frontend_id));
    return there ? inside.write(pci::paths::in(directory, pci::node::aer_state), "aerfail")
                 : tl::unexpected(there.error());
  });
}

pci::result<void> remove_backend(platform::store& store, messages::domain_id domain, bool dead) {
  const auto parent = pci::paths::backend_parent(domain);
  return transact_surely(store, [&](platform::store_operations& inside) -> pci::result<void> {
    auto emptied = dead ? inside.remove(parent + "/0") : pci::result<void>{};
    const auto rest = inside.list(parent);
    if (rest && rest->empty()) {
      emptied = inside.remove(parent);
    }
    // What a toolstack has made again meanwhile is another actor's.
    if (!inside.read(pci::paths::in(pci::paths::backend(domain), pci::node::frontend_id))) {
      remove_view(inside, domain);
      static_cast<void>(inside.remove(pci::paths::backend_error_parent(domain)));
    }
    return emptied || emptied.error().error == ENOENT ? pci::result<void>{} : emptied;
  });
}

pci::result<void> forget_guest(platform::store& store, messages::domain_id domain, bool dead, xenbus_state seen,
                               const std::vector<pci::sbdf>& functions) {
  if (!dead && seen != xenbus_state::unknown) {
    return seen == xenbus_state::closed ? pci::result<void>{}
                                        : write_nodes(store, domain, seen, {{pci::node::state, "6"}});
  }
  for (const auto& function : functions) {
    const auto note = pci::paths::libxl_function(function, pci::node::domid);
    if (dead && read_number(store, note) == domain) {
      static_cast<void>(store.remove(note));
    }
  }
  return remove_backend(store, domain, dead);
}

void remove_stale_notes(platform::store& store, const std::function<bool(messages::domain_id)>& gone) {
  for (const auto& name : store.list(pci::paths::libxl_functions).value_or(std::vector<std::string>{})) {
    const auto note = fmt::format("{}/{}", pci::paths::libxl_functions, name);
    const auto domain = pci::parse_number(read_or_empty(store, pci::paths::in(note, pci::node::domid)), largest_domain);
    if (domain && gone(static_cast<messages::domain_id>(*domain))) {
      static_cast<void>(store.remove(pci::paths::in(note, pci::node::domid)));
    }
  }
}

pci::result<std::vector<messages::domain_id>> list_backends(platform::store& store) {
  const auto names = store.list(pci::paths::backends);
  if (!names && names.error().error != ENOENT) {
    return tl::unexpected(names.error());
  }
  std::vector<messages::domain_id> domains;
  for (const auto& name : names.value_or(std::vector<std::string>{})) {
    if (const auto domain = pci::parse_number(name, largest_domain)) {
      domains.push_back(static_cast<messages::domain_id>(*domain));
    }
  }
  return domains;
}

} // namespace actors
