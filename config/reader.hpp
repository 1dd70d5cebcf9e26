// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/document.hpp"
#include "pci/address.hpp"

namespace config {

/// Puts a value into a settings structure, or says why it cannot be one.
template <class Section>
using setter = std::function<read_result<void>(const value&, Section&)>;

/// One key that a section of a file may have.
template <class Section>
struct key {
  std::string_view name;
  setter<Section> set;
  bool required = false;
  bool section = false; ///< its own keys are named in complaints, so that it need not be
};

/// "must be WANTED, not a string".
[[nodiscard]] tl::unexpected<complaints> wrong_kind(const value& what, std::string_view wanted);
/// "did you mean ...?" where one of the words is near, else all of them.
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string_view>& words);

/// Adds what went wrong in a part to what went wrong in the whole.
template <class T>
void collect(complaints& all, const read_result<T>& part) {
  if (!part) {
    all.insert(all.end(), part.error().begin(), part.error().end());
  }
}

/// The table inside a value; complains about anything else.
[[nodiscard]] read_result<const table*> as_table(const value& what);
[[nodiscard]] read_result<const list*> as_list(const value& what);
[[nodiscard]] read_result<std::string> as_text(const value& what);
[[nodiscard]] read_result<bool> as_boolean(const value& what);
/// `least` and `most` belong to the range.
[[nodiscard]] read_result<std::int64_t> as_integer(const value& what, std::int64_t least, std::int64_t most);
[[nodiscard]] read_result<pci::sbdf> as_address(const value& what);
/// What `parse` makes of a string. A failure ends with the `example` of what to write.
template <class T>
[[nodiscard]] read_result<T> as_parsed(const value& what, pci::result<T> (*parse)(std::string_view),
                                       std::string_view example) {
  const auto* text = std::get_if<std::string>(&what.content);
  if (text == nullptr) {
    return wrong_kind(what, example);
  }
  const auto parsed = parse(*text);
  if (!parsed) {
    return wrong(what.at, fmt::format("{}; it must be {}", parsed.error().context, example));
  }
  return *parsed;
}

/// The place of the text among `words`.
[[nodiscard]] read_result<std::size_t> as_word(const value& what, std::span<const std::string_view> words);

/// The keys that a section must have and has not.
template <class Section>
[[nodiscard]] complaints missing_keys(const value& from, const table& members, const std::vector<key<Section>>& keys) {
  complaints all;
  for (const auto& wanted : keys) {
    const auto is_it = [&](const member& given) { return given.key == wanted.name; };
    if (wanted.required && std::none_of(members.begin(), members.end(), is_it)) {
      const auto cure = fmt::format(fmt::runtime(wanted.section ? "a [[{}]]" : "{} = ..."), wanted.name);
      all.push_back({from.at, fmt::format("\"{}\" is missing; add {}", wanted.name, cure)});
    }
  }
  return all;
}

/// Reads a section strictly: an unknown key, a wrong value and a required key that is missing are complaints, and all
/// of them are told.
template <class Section>
[[nodiscard]] read_result<void> read_section(const value& from, const std::vector<key<Section>>& keys, Section& into) {
  const auto members = as_table(from);
  if (!members) {
    return tl::unexpected(members.error());
  }
  std::vector<std::string_view> names;
  std::transform(keys.begin(), keys.end(), std::back_inserter(names), [](const auto& one) { return one.name; });
  complaints all;
  for (const auto& given : **members) {
    const auto known = std::find(names.begin(), names.end(), given.key);
    if (known == names.end()) {
      all.push_back({given.at, fmt::format("unknown key \"{}\"; {}", given.key, suggestion(given.key, names))});
      continue;
    }
    const auto& wanted = keys[static_cast<std::size_t>(known - names.begin())];
    auto done = wanted.set(given.is, into);
    if (!done && !wanted.section) {
      for (auto& each : done.error()) {
        each.what.insert(0, fmt::format("{}: ", given.key));
      }
    }
    collect(all, done);
  }
  collect(all, unless(missing_keys(from, **members, keys)));
  return unless(std::move(all));
}

/// Reads each table of an array of tables with `keys`; `finish` sees each when it is complete, with the ones before it.
template <class Section>
[[nodiscard]] read_result<void>
read_sections(const value& from, const std::vector<key<Section>>& keys, std::vector<Section>& into,
              const std::function<read_result<void>(const Section&, const value&)>& finish) {
  const auto* tables = std::get_if<list>(&from.content);
  if (tables == nullptr) {
    return wrong_kind(from, "an array of tables, each under its own [[name]]");
  }
  complaints all;
  for (const auto& one : *tables) {
    Section section;
    if constexpr (requires { section.at = one.at; }) {
      section.at = one.at;
    }
    auto done = read_section(one, keys, section).and_then([&] { return finish(section, one); });
    collect(all, done);
    if (done) {
      into.push_back(std::move(section));
    }
  }
  return unless(std::move(all));
}

/// A whole array, each element read by `read`.
template <class T>
[[nodiscard]] read_result<std::vector<T>> as_list_of(const value& what, read_result<T> (*read)(const value&)) {
  const auto all = as_list(what);
  if (!all) {
    return tl::unexpected(all.error());
  }
  std::vector<T> found;
  complaints wrong_ones;
  for (const auto& one : **all) {
    auto element = read(one);
    collect(wrong_ones, element);
    if (element) {
      found.push_back(std::move(*element));
    }
  }
  return unless(std::move(wrong_ones)).map([&] { return std::move(found); });
}

/// A setter that stores what `read` makes of the value.
template <class Section, class Read, class Store>
[[nodiscard]] setter<Section> store(Read read, Store put) {
  return [read, put](const value& from, Section& into) -> read_result<void> {
    auto got = read(from);
    if (!got) {
      return tl::unexpected(std::move(got.error()));
    }
    put(into, std::move(*got));
    return {};
  };
}

} // namespace config
