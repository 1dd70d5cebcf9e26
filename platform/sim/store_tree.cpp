// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/store_tree.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace platform::sim {
namespace {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == 0 ? std::string_view("/") : path.substr(0, slash);
}

/// Takes the first name off a path "/a/b" and leaves "/b".
std::string_view take_name(std::string_view& path) {
  path.remove_prefix(1);
  const auto end = std::min(path.find('/'), path.size());
  const auto name = path.substr(0, end);
  path.remove_prefix(end);
  return name;
}

} // namespace

bool may(const store_tree::node& node, domain_id domain, bool write) {
  if (domain == 0 || node.permissions.front().domid == domain)
    return true;
  const auto& all = node.permissions;
  const auto own = std::find_if(all.begin() + 1, all.end(), [&](const auto& entry) { return entry.domid == domain; });
  const auto& rule = own == all.end() ? all.front() : *own;
  return write ? rule.write : rule.read;
}

bool is_below(std::string_view path, std::string_view parent) {
  return parent == "/" || (path.starts_with(parent) && (path.size() == parent.size() || path[parent.size()] == '/'));
}

unsigned levels_below(std::string_view path, std::string_view parent) {
  const auto rest = path.substr(parent == "/" ? 0 : parent.size());
  return rest == "/" ? 0 : static_cast<unsigned>(std::count(rest.begin(), rest.end(), '/'));
}

store_tree::store_tree() {
  auto root = std::make_shared<node>();
  root->permissions = {{0, true, false}};
  root_ = std::move(root);
}

result<void> store_tree::check_path(const std::string& path) {
  const bool good = path.starts_with('/') && path.size() <= path_limit &&
                    path.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@") ==
                        std::string::npos &&
                    path.find("//") == std::string::npos && (path.size() == 1 || !path.ends_with('/'));
  if (!good)
    return pci::fail(EINVAL, fmt::format("xenstore path \"{}\"", path.substr(0, 100)));
  return {};
}

const store_tree::node* store_tree::find(std::string_view path) const {
  const node* at = root_.get();
  while (path.size() > 1 && at != nullptr) {
    const auto child = at->children.find(take_name(path));
    at = child == at->children.end() ? nullptr : child->second.get();
  }
  return at;
}

std::uint64_t store_tree::generation(std::string_view path) const {
  const auto* found = find(path);
  return found == nullptr ? 0 : found->generation;
}

const store_tree::node& store_tree::nearest(std::string_view path) const {
  while (true) {
    if (const auto* found = find(path))
      return *found;
    path = parent_of(path);
  }
}

bool store_tree::may_read(domain_id domain, std::string_view path) const { return may(nearest(path), domain, false); }

/// A node that the domain may not see is refused in the same way whether it exists or not.
result<const store_tree::node*> store_tree::reachable(domain_id domain, const std::string& path, bool write) const {
  if (auto checked = check_path(path); !checked)
    return tl::unexpected(checked.error());
  if (!may(nearest(path), domain, write))
    return pci::fail(EACCES, fmt::format("xenstore {}", path));
  return find(path);
}

result<std::string> store_tree::read(domain_id domain, const std::string& path) const {
  const auto found = reachable(domain, path, false);
  if (!found)
    return tl::unexpected(found.error());
  if (*found == nullptr)
    return pci::fail(ENOENT, fmt::format("xenstore {}", path));
  return (*found)->value;
}

result<std::vector<std::string>> store_tree::list(domain_id domain, const std::string& path) const {
  const auto found = reachable(domain, path, false);
  if (!found)
    return tl::unexpected(found.error());
  if (*found == nullptr)
    return pci::fail(ENOENT, fmt::format("xenstore {}", path));
  std::vector<std::string> names;
  names.reserve((*found)->children.size());
  for (const auto& [name, child] : (*found)->children)
    names.push_back(name);
  return names;
}

result<void> store_tree::apply(domain_id domain, const std::string& path, const edit& what) {
  return std::visit(overloaded{[&](const write_edit& e) { return write(domain, path, &e.value); },
                               [&](const directory_edit&) { return write(domain, path, nullptr); },
                               [&](const remove_edit&) { return remove(domain, path); },
                               [&](const permissions_edit& e) { return permit(domain, path, e.who); }},
                    what);
}

/// Writes a value, or with none makes a directory; parents come into being with it.
result<void> store_tree::write(domain_id domain, const std::string& path, const std::string* value) {
  const auto found = reachable(domain, path, true);
  if (!found)
    return tl::unexpected(found.error());
  if (value != nullptr && path.size() + 1 + value->size() > payload_limit)
    return pci::fail(E2BIG, fmt::format("xenstore {}: {} bytes", path, value->size()));
  if (*found != nullptr) {
    if (value == nullptr)
      return {};
    auto changed = std::make_shared<node>(**found);
    changed->value = *value;
    replace(path, std::move(changed));
    return {};
  }
  std::vector<std::string> missing{path};
  while (find(parent_of(missing.back())) == nullptr)
    missing.emplace_back(parent_of(missing.back()));
  if (domain != 0 && owned(domain) + missing.size() > nodes_per_domain)
    return pci::fail(ENOSPC, fmt::format("xenstore {}: domain {} has its {} nodes", path, domain, nodes_per_domain));
  for (auto next = missing.rbegin(); next != missing.rend(); ++next) {
    auto fresh = std::make_shared<node>();
    fresh->permissions = find(parent_of(*next))->permissions;
    if (domain != 0)
      fresh->permissions.front().domid = domain; // an unprivileged domain owns what it creates
    if (*next == path && value != nullptr)
      fresh->value = *value;
    count(*fresh, 1);
    replace(*next, std::move(fresh));
  }
  return {};
}

result<void> store_tree::remove(domain_id domain, const std::string& path) {
  if (path == "/")
    return pci::fail(EINVAL, "xenstore /: the root stays");
  const auto found = reachable(domain, path, true);
  if (!found)
    return tl::unexpected(found.error());
  if (*found == nullptr)
    return {};
  count(**found, -1);
  replace(path, nullptr);
  return {};
}

result<void> store_tree::permit(domain_id domain, const std::string& path, const std::vector<node_permission>& who) {
  const auto found = reachable(domain, path, false);
  if (!found)
    return tl::unexpected(found.error());
  if (*found == nullptr)
    return pci::fail(ENOENT, fmt::format("xenstore {}", path));
  if (who.empty())
    return pci::fail(EINVAL, fmt::format("xenstore {}: no owner", path));
  const auto owner = (*found)->permissions.front().domid;
  if (domain != 0 && owner != domain)
    return pci::fail(EACCES, fmt::format("xenstore {}: not the owner", path));
  if (domain != 0 && who.front().domid != owner)
    return pci::fail(EPERM, fmt::format("xenstore {}: a domain cannot give its nodes away", path));
  auto changed = std::make_shared<node>(**found);
  changed->permissions = who;
  if (owner != who.front().domid) {
    count(owner, -1);
    count(who.front().domid, 1);
  }
  replace(path, std::move(changed));
  return {};
}

store_tree::link store_tree::replaced(const link& at, std::string_view rest, const link& with, std::uint64_t stamp) {
  auto copy = std::make_shared<node>(*at);
  const auto name = std::string(take_name(rest));
  if (rest.empty()) {
    const bool existed = copy->children.contains(name);
    if (with == nullptr)
      copy->children.erase(name);
    else
      copy->children[name] = with;
    if (with == nullptr || !existed)
      copy->generation = stamp; // the set of children is part of a node
  } else {
    auto& child = copy->children[name];
    child = replaced(child, rest, with, stamp);
  }
  return copy;
}

void store_tree::replace(std::string_view path, link with) {
  ++clock_;
  if (with != nullptr) {
    auto stamped = std::make_shared<node>(*with);
    stamped->generation = clock_;
    with = std::move(stamped);
  }
  root_ = path == "/" ? with : replaced(root_, path, with, clock_);
}

void store_tree::count(const node& of, int by) {
  count(of.permissions.front().domid, by);
  for (const auto& [name, child] : of.children)
    count(*child, by);
}

void store_tree::count(domain_id owner, int by) {
  auto found = std::find_if(owned_.begin(), owned_.end(), [&](const auto& entry) { return entry.first == owner; });
  if (found == owned_.end())
    found = owned_.insert(found, {owner, 0U});
  found->second = static_cast<unsigned>(static_cast<int>(found->second) + by);
}

unsigned store_tree::owned(domain_id domain) const {
  for (const auto& [owner, nodes] : owned_)
    if (owner == domain)
      return nodes;
  return 0;
}

std::vector<std::string> store_tree::remove_owned(domain_id domain) {
  std::vector<std::string> gone;
  const auto walk = [&](const auto& self, const node& at, const std::string& path) -> void {
    for (const auto& [name, child] : at.children) {
      const auto below = fmt::format("{}/{}", path, name);
      if (child->permissions.front().domid == domain)
        gone.push_back(below);
      else
        self(self, *child, below);
    }
  };
  walk(walk, *root_, "");
  for (const auto& path : gone)
    (void)remove(0, path);
  return gone;
}

void store_tree::print(std::string& out) const {
  const auto walk = [&](const auto& self, const node& at, const std::string& path) -> void {
    if (!at.value.empty() || at.children.empty())
      out += fmt::format("{} = \"{}\"\n", path, at.value);
    for (const auto& [name, child] : at.children)
      self(self, *child, fmt::format("{}/{}", path, name));
  };
  walk(walk, *root_, "");
}

} // namespace platform::sim
