// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/guest_names.hpp"

#include <algorithm>
#include <cctype>

#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

bool same_uuid(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(left, right, {}, lower, lower);
}

} // namespace

guest_names names_of(platform::store_operations& store, messages::domain_id domain) {
  const auto home = pci::paths::home(domain);
  const auto vm = store.read(pci::paths::in(home, pci::node::vm)).value_or(std::string{});
  return {.name = store.read(pci::paths::in(home, pci::node::name)).value_or(std::string{}),
          .uuid = vm.starts_with(pci::paths::vm_root) ? vm.substr(pci::paths::vm_root.size()) : std::string{}};
}

bool is_called(const guest_names& who, std::string_view text) {
  return !text.empty() && (who.name == text || same_uuid(who.uuid, text));
}

} // namespace actors
