#include "config/document.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>

#include <fmt/format.h>

// The parser lives in this translation unit alone; without exceptions a syntax error is a value like any other.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace config {
namespace {

constexpr std::size_t largest_file = std::size_t{1} << 20U;

position position_of(const toml::source_region& region) {
  return {std::max(1U, static_cast<unsigned>(region.begin.line)),
          std::max(1U, static_cast<unsigned>(region.begin.column))};
}

value convert(const toml::node& from);

list convert_list(const toml::array& from) {
  list all;
  all.reserve(from.size());
  for (const auto& element : from) {
    all.push_back(convert(element));
  }
  return all;
}

bool before(const position& a, const position& b) { return std::tie(a.line, a.column) < std::tie(b.line, b.column); }

// The library sorts keys by their text; people read a file from its top.
table convert_table(const toml::table& from) {
  table all;
  all.reserve(from.size());
  for (const auto& [key, element] : from) {
    all.push_back({std::string{key.str()}, position_of(key.source()), convert(element)});
  }
  std::stable_sort(all.begin(), all.end(), [](const member& a, const member& b) { return before(a.at, b.at); });
  return all;
}

value convert(const toml::node& from) {
  value to;
  to.at = position_of(from.source());
  if (const auto* as_table = from.as_table()) {
    to.content = convert_table(*as_table);
  } else if (const auto* as_array = from.as_array()) {
    to.content = convert_list(*as_array);
  } else if (const auto* as_string = from.as_string()) {
    to.content = as_string->get();
  } else if (const auto* as_integer = from.as_integer()) {
    to.content = as_integer->get();
  } else if (const auto* as_boolean = from.as_boolean()) {
    to.content = as_boolean->get();
  } else if (const auto* as_number = from.as_floating_point()) {
    to.content = as_number->get();
  }
  return to;
}

} // namespace

std::string_view kind_of(const value& what) {
  static constexpr std::array<std::string_view, 7> names{
      "a date or time", "a boolean", "an integer", "a decimal number", "a string", "an array", "a table"};
  return names.at(what.content.index());
}

read_result<value> parse_document(std::string_view text) {
  const auto parsed = toml::parse(text);
  if (!parsed) {
    return wrong(position_of(parsed.error().source()),
                 fmt::format("not TOML: {}; mend the syntax here", parsed.error().description()));
  }
  return convert(parsed.table());
}

pci::result<std::string> read_file(const std::filesystem::path& file) {
  std::error_code why;
  if (!std::filesystem::is_regular_file(file, why)) {
    const auto error = why ? why.value() : EINVAL;
    return pci::fail(error, fmt::format("{}: {}", file.string(), why ? "cannot be read" : "is not a file"));
  }
  std::ifstream stream{file, std::ios::binary};
  std::string text(largest_file + 1, '\0');
  errno = 0;
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) {
    return pci::fail(errno != 0 ? errno : EIO, fmt::format("{}: cannot be read", file.string()));
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > largest_file) {
    return pci::fail(EFBIG, fmt::format("{}: is larger than 1 MiB, which no settings are", file.string()));
  }
  return text;
}

// Keys and values are quoted as they are in the file, where \n and the like can be written: a failure stays one line.
pci::failure to_failure(const complaint& what, std::string_view name) {
  auto line = fmt::format("{}:{}:{}: {}", name, what.at.line, what.at.column, what.what);
  const auto unprintable = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  std::replace_if(line.begin(), line.end(), unprintable, '?');
  return {EINVAL, std::move(line)};
}

} // namespace config
