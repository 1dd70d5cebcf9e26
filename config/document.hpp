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

namespace config {

/// Where something stands in a file; both count from 1.
struct position {
  unsigned line = 1;
  unsigned column = 1;
};

struct member;
struct value;
using list = std::vector<value>;
/// In the order of the file, so that the first wrong line is the one that is reported.
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
  std::string what; ///< one line: what is wrong; how to mend it
};
template <class T>
using read_result = tl::expected<T, complaint>;

/// Makes the failing half of a `read_result`.
[[nodiscard]] inline tl::unexpected<complaint> wrong(position at, std::string what) {
  return tl::unexpected<complaint>(complaint{at, std::move(what)});
}

/// Parses TOML 1.0. The value is a table.
[[nodiscard]] read_result<value> parse_document(std::string_view text);

/// The whole file. EFBIG beyond 1 MiB; else the errno of what could not be done, with the file's name in the context.
[[nodiscard]] pci::result<std::string> read_file(const std::filesystem::path& file);

/// "FILE:LINE:COLUMN: what" with EINVAL.
[[nodiscard]] pci::failure to_failure(const complaint& what, std::string_view name);

} // namespace config
