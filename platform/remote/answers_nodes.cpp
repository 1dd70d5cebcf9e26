// SPDX-License-Identifier: GPL-2.0-or-later
// xenstore for the worker, by the rules of node_rules.hpp.
#include <fmt/format.h>

#include "platform/remote/dispatch.hpp"
#include "platform/remote/node_rules.hpp"

namespace platform::remote {
namespace {

pci::result<void> check_readable(const std::string& path) {
  if (!kind_of_node(path).readable)
    return refuse("xenstore: the worker has no business with " + path);
  return {};
}

pci::result<void> check_writable(const std::string& path) {
  if (!kind_of_node(path).writable)
    return refuse("xenstore: the worker must not change " + path);
  return {};
}

/// libxl's note of dom0's driver is believed when a function goes back to it.
pci::result<void> check_value(const holdings& known, const std::string& path, const std::string& value) {
  const auto kind = kind_of_node(path);
  if (kind.names_driver && kind.noted && value != "/sys/bus/pci/drivers/" + known.previous_driver(*kind.noted))
    return refuse(fmt::format("xenstore: {} is not where {} was taken from", value, pci::to_string(*kind.noted)));
  return check_writable(path);
}

} // namespace

void add_node_calls(dispatch& to, store_operations& nodes, const holdings& known) {
  to.on<of::read_node>(
      [&](const std::string& path) { return check_readable(path).and_then([&] { return nodes.read(path); }); });
  to.on<of::list_nodes>(
      [&](const std::string& path) { return check_readable(path).and_then([&] { return nodes.list(path); }); });
  to.on<of::write_node>([&](const std::string& path, const std::string& value) {
    return check_value(known, path, value).and_then([&] { return nodes.write(path, value); });
  });
  to.on<of::make_directory>([&](const std::string& path) {
    return check_writable(path).and_then([&] { return nodes.make_directory(path); });
  });
  to.on<of::remove_node>(
      [&](const std::string& path) { return check_writable(path).and_then([&] { return nodes.remove(path); }); });
  to.on<of::set_permissions>(
      [&](const std::string& path, const std::vector<node_permission>& who) -> pci::result<void> {
        if (!may_permit(path, who))
          return refuse("xenstore: the worker must not give these rights to " + path);
        return nodes.set_permissions(path, who);
      });
}

watch_book::~watch_book() {
  for (const auto& [path, token] : made_)
    static_cast<void>(nodes_.unwatch(path, token));
}

pci::result<void> watch_book::watch(const std::string& path, const std::string& token, std::uint32_t depth) {
  if (!may_watch(path))
    return refuse("xenstore: the worker has no business with " + path);
  return nodes_.watch(path, token, depth).map([&] {
    const std::lock_guard lock(mutex_);
    made_.emplace(path, token);
  });
}

pci::result<void> watch_book::unwatch(const std::string& path, const std::string& token) {
  {
    const std::lock_guard lock(mutex_);
    made_.erase({path, token});
  }
  return nodes_.unwatch(path, token);
}

void add_watch_calls(dispatch& to, watch_book& watches) {
  to.on<of::watch>([&](const std::string& path, const std::string& token, std::uint32_t depth) {
    return watches.watch(path, token, depth);
  });
  to.on<of::unwatch>([&](const std::string& path, const std::string& token) { return watches.unwatch(path, token); });
}

} // namespace platform::remote
