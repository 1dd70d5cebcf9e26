// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "pci/result.hpp"
#include "pci/settings.hpp"

namespace config {

using position = pci::file_position;

struct member;
struct value;
using list = std::vector<value>;
/// In the order of the file, so that mistakes are told from its top.
using table = std::vector<member>;
/// A date or a time: TOML has them, no setting does.
struct moment {};

/// A TOML value with its place in the file.
struct value {
  position at;
  std::variant<moment, bool, std::int64_t, double, std::string, list, table> content;
};

/// A key of a table and what it is set to.
struct member {
  std::string key;
  position at; ///< the key's
  value is;
};

/// "a string", "a table": what a message calls the value.
[[nodiscard]] std::string_view kind_of(const value& what);

/// What is wrong with a file, and where.
struct complaint {
  position at;
  std::string what; ///< one line: what is wrong, and how to mend it
};
/// All that is wrong with one part of a file. Never empty where it stands for a failure.
using complaints = std::vector<complaint>;
template <class T>
using read_result = tl::expected<T, complaints>;

/// Makes the failing half of a `read_result`.
[[nodiscard]] inline tl::unexpected<complaints> wrong(position at, std::string what) {
  return tl::unexpected<complaints>(complaints{{at, std::move(what)}});
}
/// Success, unless there is something to complain about.
[[nodiscard]] inline read_result<void> unless(complaints all) {
  return all.empty() ? read_result<void>{} : tl::unexpected(std::move(all));
}

/// Parses TOML 1.0. The value is a table.
[[nodiscard]] read_result<value> parse_document(std::string_view text);

/// The whole file. EFBIG beyond 1 MiB; else the errno of what could not be done, with the file's name in the context.
[[nodiscard]] pci::result<std::string> read_file(const std::filesystem::path& file);

/// "FILE:LINE:COLUMN: what", one line whatever the file has in it.
[[nodiscard]] std::string to_line(const complaint& what, std::string_view name);
/// A line each, from the top of the file.
[[nodiscard]] std::vector<std::string> to_lines(complaints all, std::string_view name);
/// EINVAL with the first line, and how many more there are.
[[nodiscard]] pci::failure to_failure(const complaints& all, std::string_view name);

} // namespace config
