// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <map>
#include <string>

#include "platform/store.hpp"

namespace fuzz {

/// xenstore, as far as one process needs it: a tree of nodes without rights. Watches are taken and never fire.
class memory_store final : public platform::store {
public:
  pci::result<std::string> read(const std::string& path) override {
    if (const auto found = nodes.find(path); found != nodes.end())
      return found->second;
    return has_children(path) ? pci::result<std::string>(std::string{}) : pci::fail(ENOENT, path);
  }
  pci::result<void> write(const std::string& path, std::string_view value) override {
    nodes.insert_or_assign(path, std::string(value));
    return {};
  }
  pci::result<void> make_directory(const std::string& path) override {
    nodes.try_emplace(path);
    return {};
  }
  pci::result<void> remove(const std::string& path) override {
    nodes.erase(path);
    const auto below = path + "/";
    for (auto at = nodes.lower_bound(below); at != nodes.end() && at->first.starts_with(below);)
      at = nodes.erase(at);
    return {};
  }
  pci::result<std::vector<std::string>> list(const std::string& path) override {
    std::vector<std::string> names;
    const auto below = path + "/";
    for (auto at = nodes.lower_bound(below); at != nodes.end() && at->first.starts_with(below); ++at) {
      auto name = at->first.substr(below.size(), at->first.find('/', below.size()) - below.size());
      if (names.empty() || names.back() != name)
        names.push_back(std::move(name));
    }
    if (names.empty() && !nodes.contains(path))
      return pci::fail(ENOENT, path);
    return names;
  }
  pci::result<void> set_permissions(const std::string&, std::span<const platform::node_permission>) override {
    return {};
  }
  /// A failure leaves all as it was.
  pci::result<void> transact(const std::function<pci::result<void>(platform::store_operations&)>& body,
                             unsigned /*attempts*/) override {
    const auto before = nodes;
    auto done = body(*this);
    if (!done)
      nodes = before;
    return done;
  }
  pci::result<void> watch(const std::string&, const std::string&, unsigned) override { return {}; }
  pci::result<void> unwatch(const std::string&, const std::string&) override { return {}; }

  std::map<std::string, std::string> nodes;

private:
  [[nodiscard]] bool has_children(const std::string& path) const {
    const auto below = path + "/";
    const auto at = nodes.lower_bound(below);
    return at != nodes.end() && at->first.starts_with(below);
  }
};

} // namespace fuzz
