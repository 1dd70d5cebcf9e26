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

[[nodiscard]] tl::unexpected<complaint> wrong_kind(const value& what, std::string_view wanted);

/// The table inside a value; complains about anything else.
[[nodiscard]] read_result<const table*> as_table(const value& what);
[[nodiscard]] read_result<const list*> as_list(const value& what);
[[nodiscard]] read_result<std::string> as_text(const value& what);
[[nodiscard]] read_result<bool> as_boolean(const value& what);
/// `least` and `most` belong to the range.
[[nodiscard]] read_result<std::int64_t> as_integer(const value& what, std::int64_t least, std::int64_t most);
[[nodiscard]] read_result<pci::sbdf> as_address(const value& what);
/// What `parse` makes of a string. A failure ends with the `example` of what to give.
template <class T>
[[nodiscard]] read_result<T> as_parsed(const value& what, pci::result<T> (*parse)(std::string_view),
                                       std::string_view example) {
  const auto* text = std::get_if<std::string>(&what.content);
  if (text == nullptr) {
    return wrong_kind(what, example);
  }
  const auto parsed = parse(*text);
  if (!parsed) {
    return wrong(what.at, fmt::format("{}; give {}", parsed.error().context, example));
  }
  return *parsed;
}

/// The place of the text among `words`.
[[nodiscard]] read_result<std::size_t> as_word(const value& what, std::span<const std::string_view> words);

/// Reads a section strictly: an unknown key, a wrong value or a required key that is missing is a complaint.
template <class Section>
[[nodiscard]] read_result<void> read_section(const value& from, const std::vector<key<Section>>& keys, Section& into) {
  const auto members = as_table(from);
  if (!members) {
    return tl::unexpected(members.error());
  }
  std::vector<std::string_view> names;
  std::transform(keys.begin(), keys.end(), std::back_inserter(names), [](const auto& one) { return one.name; });
  for (const auto& given : **members) {
    const auto known = std::find(names.begin(), names.end(), given.key);
    if (known == names.end()) {
      return wrong(given.at, fmt::format("unknown key \"{}\"; use {}", given.key, fmt::join(names, ", ")));
    }
    const auto& wanted = keys[static_cast<std::size_t>(known - names.begin())];
    if (auto done = wanted.set(given.is, into); !done) {
      return wanted.section ? done : wrong(done.error().at, fmt::format("{}: {}", given.key, done.error().what));
    }
  }
  for (const auto& wanted : keys) {
    const auto is_it = [&](const member& given) { return given.key == wanted.name; };
    if (wanted.required && std::none_of((*members)->begin(), (*members)->end(), is_it)) {
      const auto cure = fmt::format(fmt::runtime(wanted.section ? "a [[{}]]" : "{} = ..."), wanted.name);
      return wrong(from.at, fmt::format("\"{}\" is missing; add {}", wanted.name, cure));
    }
  }
  return {};
}

/// Reads each table of an array of tables with `keys`; `finish` sees each when it is complete, with the ones before it.
template <class Section>
[[nodiscard]] read_result<void>
read_sections(const value& from, const std::vector<key<Section>>& keys, std::vector<Section>& into,
              const std::function<read_result<void>(const Section&, const value&)>& finish) {
  const auto* all = std::get_if<list>(&from.content);
  if (all == nullptr) {
    return wrong_kind(from, "an array of tables, each under a [[name]] of its own");
  }
  for (const auto& one : *all) {
    Section section;
    auto done = read_section(one, keys, section);
    if (done) {
      done = finish(section, one);
    }
    if (!done) {
      return done;
    }
    into.push_back(std::move(section));
  }
  return {};
}

/// A whole array, each element read by `read`.
template <class T>
[[nodiscard]] read_result<std::vector<T>> as_list_of(const value& what, read_result<T> (*read)(const value&)) {
  const auto all = as_list(what);
  if (!all) {
    return tl::unexpected(all.error());
  }
  std::vector<T> found;
  for (const auto& one : **all) {
    auto element = read(one);
    if (!element) {
      return tl::unexpected(std::move(element.error()));
    }
    found.push_back(std::move(*element));
  }
  return found;
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
