// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/reader.hpp"

#include "pci/nearest.hpp"

namespace config {
namespace {

template <class T>
read_result<T> as(const value& what, std::string_view wanted) {
  if (const auto* is = std::get_if<T>(&what.content)) {
    return *is;
  }
  return wrong_kind(what, wanted);
}

template <class T>
read_result<const T*> look(const value& what, std::string_view wanted) {
  if (const auto* is = std::get_if<T>(&what.content)) {
    return is;
  }
  return wrong_kind(what, wanted);
}

} // namespace

tl::unexpected<complaints> wrong_kind(const value& what, std::string_view wanted) {
  return wrong(what.at, fmt::format("must be {}, not {}", wanted, kind_of(what)));
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& words) {
  const auto near = pci::nearest(word, words);
  return near.empty() ? fmt::format("the keys here are {}", fmt::join(words, ", "))
                      : fmt::format("did you mean \"{}\"?", near);
}

read_result<const table*> as_table(const value& what) { return look<table>(what, "a table"); }

read_result<const list*> as_list(const value& what) { return look<list>(what, "an array"); }

read_result<std::string> as_text(const value& what) { return as<std::string>(what, "a string in double quotes"); }

read_result<bool> as_boolean(const value& what) { return as<bool>(what, "true or false"); }

read_result<std::int64_t> as_integer(const value& what, std::int64_t least, std::int64_t most) {
  const auto wanted = fmt::format("an integer from {} to {}", least, most);
  auto number = as<std::int64_t>(what, wanted);
  if (number && (*number < least || *number > most)) {
    return wrong(what.at, fmt::format("must be {}, not {}", wanted, *number));
  }
  return number;
}

read_result<pci::sbdf> as_address(const value& what) {
  return as_parsed(what, pci::parse_sbdf, "an address such as \"0000:03:00.0\"");
}

read_result<std::size_t> as_word(const value& what, std::span<const std::string_view> words) {
  const auto wanted = fmt::format("one of \"{}\"", fmt::join(words, "\", \""));
  const auto text = as<std::string>(what, wanted);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const auto found = std::find(words.begin(), words.end(), *text);
  if (found == words.end()) {
    const auto near = pci::nearest(*text, words);
    return wrong(what.at, fmt::format("must be {}, not \"{}\"{}", wanted, *text,
                                      near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
  }
  return static_cast<std::size_t>(found - words.begin());
}

} // namespace config
