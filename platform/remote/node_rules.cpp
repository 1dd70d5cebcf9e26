// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/node_rules.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "pci/protocol/xenbus.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace platform::remote {
namespace {

constexpr std::size_t longest_path = 3072; // XENSTORE_ABS_PATH_MAX
constexpr std::size_t deepest = 16;

constexpr std::string_view refused = "not for the worker: ";
constexpr std::string_view overtaken = "not for the worker any more: ";

using parts = std::vector<std::string_view>;

/// Empty: it is no absolute path.
parts split(std::string_view path) {
  parts found;
  if (path.size() > longest_path || path.find('\0') != std::string_view::npos)
    return {};
  while (!path.empty()) {
    if (path.front() != '/' || found.size() == deepest)
      return {};
    path.remove_prefix(1);
    const auto name = path.substr(0, path.find('/'));
    if (name.empty())
      return {};
    found.push_back(name);
    path.remove_prefix(name.size());
  }
  return found;
}

std::optional<std::uint16_t> guest(std::string_view text) {
  const auto number = pci::parse_number(text, pci::largest_domain);
  return number && *number != 0 ? std::optional(static_cast<std::uint16_t>(*number)) : std::nullopt;
}

bool begins(const parts& path, std::initializer_list<std::string_view> with) {
  return path.size() >= with.size() && std::equal(with.begin(), with.end(), path.begin());
}

/// "0000-03-00-0"
std::optional<pci::sbdf> noted_function(std::string_view text) {
  std::string usual{text};
  if (usual.size() != 12 || usual[4] != '-' || usual[7] != '-' || usual[10] != '-')
    return std::nullopt;
  usual[4] = usual[7] = ':';
  usual[10] = '.';
  const auto address = pci::parse_sbdf(usual);
  return address ? std::optional(*address) : std::nullopt;
}

/// Below domain 0's home: the backends, their errors, and the directories that pcibackd makes for some guests.
node_kind of_dom0(const parts& path) {
  node_kind kind;
  const bool own = begins(path, {"local", "domain", "0", "pcibackd"});
  const std::size_t depth = own                                                                 ? 4
                            : begins(path, {"local", "domain", "0", "backend", "pci"})          ? 5
                            : begins(path, {"local", "domain", "0", "error", "backend", "pci"}) ? 6
                                                                                                : 0;
  if (depth == 0) {
    kind.readable = path.size() == 4 && (path[3] == pci::node::name || path[3] == pci::node::domid);
  } else if (path.size() == depth) { // the directory of all guests; pcibackd's own goes with the last of them
    kind.readable = true;
    kind.writable = own;
  } else {
    kind.domain = guest(path[depth]);
    kind.readable = kind.writable = kind.domain.has_value();
  }
  return kind;
}

node_kind of_guest(const parts& path, std::uint16_t whose) {
  node_kind kind;
  kind.domain = whose;
  constexpr std::array<std::string_view, 4> told = {pci::node::domid, pci::node::name, pci::node::vm,
                                                    pci::node::target};
  if (path.size() == 4)
    kind.readable = std::ranges::find(told, path[3]) != told.end();
  else if (path.size() >= 5 && path[3] == "device" && path[4] == "pci") {
    kind.readable = true;
    kind.writable = path.size() >= 6 && path[5] == "0";
  } else if (path.size() >= 6 && path[3] == "error" && path[4] == "device" && path[5] == "pci")
    kind.readable = true;
  return kind;
}

/// What libxl notes of functions that may be assigned.
node_kind of_libxl(const parts& path) {
  node_kind kind;
  if (path.size() == 3) { // the kind of a guest: "/libxl/N/type"
    kind.domain = guest(path[1]);
    if (kind.domain) {
      kind.readable = path[2] == pci::node::type;
      return kind;
    }
  }
  if (!begins(path, {"libxl", "pci"}))
    return kind;
  kind.readable = true;
  kind.noted = path.size() == 4 ? noted_function(path[2]) : std::nullopt;
  kind.names_driver = kind.noted && path[3] == pci::node::driver_path;
  kind.writable = kind.names_driver || (kind.noted && path[3] == pci::node::domid);
  return kind;
}

} // namespace

tl::unexpected<pci::failure> refuse(const std::string& what) { return pci::fail(EPERM, std::string(refused) + what); }

tl::unexpected<pci::failure> refuse_as_overtaken(const std::string& what) {
  return pci::fail(EPERM, std::string(overtaken) + what);
}

bool is_suspicious(const pci::failure& why) { return why.error == EPERM && why.context.starts_with(refused); }

bool is_refusal(const pci::failure& why) {
  return is_suspicious(why) || (why.error == EPERM && why.context.starts_with(overtaken));
}

node_kind kind_of_node(std::string_view path) {
  const auto where = split(path);
  if (begins(where, {"libxl"}))
    return of_libxl(where);
  if (!begins(where, {"local", "domain"}))
    return {};
  if (where.size() == 2) // who there is
    return node_kind{.readable = true, .writable = false, .domain = {}, .noted = {}, .names_driver = false};
  if (where[2] == "0")
    return of_dom0(where);
  const auto whose = guest(where[2]);
  return whose ? of_guest(where, *whose) : node_kind{};
}

bool may_watch(std::string_view path) {
  return path == pci::paths::domain_released || path == pci::paths::domain_introduced || kind_of_node(path).readable;
}

bool may_permit(std::string_view path, std::span<const node_permission> who) {
  const auto kind = kind_of_node(path);
  return kind.writable && kind.domain && !who.empty() && std::ranges::all_of(who, [&](const node_permission& each) {
           return each.domid == 0 || each.domid == kind.domain;
         });
}

bool is_record_name(std::string_view name) {
  constexpr std::size_t longest = 64;
  return !name.empty() && name.size() <= longest && name.front() != '.' && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ':' || c == '.' ||
           c == '-' || c == '_';
  });
}

} // namespace platform::remote
