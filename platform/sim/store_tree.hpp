// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "platform/event_channels.hpp"
#include "platform/store.hpp"

namespace platform::sim {

/// xenstore's tree. A value: copies share what has not changed since, so a transaction works on a copy.
class store_tree {
public:
  static constexpr std::size_t payload_limit = 4096; ///< XENSTORE_PAYLOAD_MAX: path, NUL and value
  static constexpr std::size_t path_limit = 3072;    ///< XENSTORE_ABS_PATH_MAX
  static constexpr unsigned nodes_per_domain = 1000; ///< quota_nb_entry_per_domain

  struct node {
    std::string value;
    std::vector<node_permission> permissions; ///< the first is the owner and what everybody else may
    std::map<std::string, std::shared_ptr<const node>, std::less<>> children;
    std::uint64_t generation = 0; ///< changes with the value, the permissions and the set of children
  };

  struct write_edit {
    std::string value;
  };
  struct directory_edit {};
  struct remove_edit {};
  struct permissions_edit {
    std::vector<node_permission> who;
  };
  using edit = std::variant<write_edit, directory_edit, remove_edit, permissions_edit>;

  /// What a transaction has looked at, and what it changed.
  struct access_log {
    std::vector<std::string> paths;
    std::vector<std::pair<std::string, edit>> edits;
  };

  store_tree();

  /// EINVAL: not an absolute path of the allowed characters.
  [[nodiscard]] static result<void> check_path(const std::string& path);
  [[nodiscard]] const node* find(std::string_view path) const;
  [[nodiscard]] std::uint64_t generation(std::string_view path) const;
  [[nodiscard]] bool may_read(domain_id domain, std::string_view path) const;
  [[nodiscard]] result<std::string> read(domain_id domain, const std::string& path) const;
  [[nodiscard]] result<std::vector<std::string>> list(domain_id domain, const std::string& path) const;
  [[nodiscard]] result<void> apply(domain_id domain, const std::string& path, const edit& what);
  [[nodiscard]] unsigned owned(domain_id domain) const;
  /// Removes what the domain owns; returns the topmost removed paths.
  [[nodiscard]] std::vector<std::string> remove_owned(domain_id domain);
  void print(std::string& out) const;

private:
  using link = std::shared_ptr<const node>;
  [[nodiscard]] result<const node*> reachable(domain_id domain, const std::string& path, bool write) const;
  [[nodiscard]] result<void> write(domain_id domain, const std::string& path, const std::string* value);
  [[nodiscard]] result<void> remove(domain_id domain, const std::string& path);
  [[nodiscard]] result<void> permit(domain_id domain, const std::string& path, const std::vector<node_permission>& who);
  [[nodiscard]] const node& nearest(std::string_view path) const;
  void replace(std::string_view path, link with);
  [[nodiscard]] static link replaced(const link& at, std::string_view rest, const link& with, std::uint64_t stamp);
  void count(const node& of, int by);
  void count(domain_id owner, int by);

  link root_;
  std::vector<std::pair<domain_id, unsigned>> owned_; ///< few, and copied with each tree
  std::uint64_t clock_ = 1;
};

[[nodiscard]] bool may(const store_tree::node& node, domain_id domain, bool write);
/// True when `path` is `parent` or lies below it.
[[nodiscard]] bool is_below(std::string_view path, std::string_view parent);
/// How many levels: 0 for the same. For a path that is below.
[[nodiscard]] unsigned levels_below(std::string_view path, std::string_view parent);

} // namespace platform::sim
