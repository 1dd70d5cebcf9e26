// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "pci/result.hpp"

namespace pci {

[[nodiscard]] constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The value of a hexadecimal digit.
[[nodiscard]] constexpr std::optional<std::uint32_t> digit(char c) {
  if (c >= '0' && c <= '9')
    return static_cast<std::uint32_t>(c - '0');
  const char lower = static_cast<char>(c | 0x20);
  if (lower >= 'a' && lower <= 'f')
    return static_cast<std::uint32_t>(lower - 'a' + 10);
  return std::nullopt;
}

/// The text as it may stand in a log line: bounded and printable, for some of it is written by guests.
[[nodiscard]] inline std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string shown{text.substr(0, longest)};
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return fmt::format("\"{}\"{}", shown, text.size() > longest ? "..." : "");
}

/// Walks a text from left to right and remembers the first thing that was not as expected; after it, nothing moves.
class scanner {
public:
  explicit scanner(std::string_view text) : text_(text) {}

  void skip_space() {
    while (!failed() && at_ < text_.size() && is_space(text_[at_]))
      ++at_;
  }
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] bool failed() const { return !expected_.empty(); }
  [[nodiscard]] std::size_t position() const { return at_; }

  /// True when the text up to the end of this address has two colons, that is, names a segment.
  [[nodiscard]] bool names_segment() const {
    const auto rest = text_.substr(at_);
    const auto own = rest.substr(0, rest.find_first_of(".)"));
    return std::count(own.begin(), own.end(), ':') >= 2;
  }

  [[nodiscard]] bool take(char wanted) {
    if (failed() || at_end() || text_[at_] != wanted)
      return false;
    ++at_;
    return true;
  }
  /// The next hexadecimal digit, if one stands here.
  [[nodiscard]] std::optional<std::uint32_t> take_digit() {
    const auto found = failed() || at_end() ? std::nullopt : digit(text_[at_]);
    at_ += found ? 1 : 0;
    return found;
  }
  void want(char wanted) {
    if (!take(wanted))
      expect(fmt::format("'{}'", wanted));
  }
  void want_end() {
    skip_space();
    if (!at_end())
      expect("nothing more");
  }

  /// One or more hexadecimal digits of a value from 0 to `limit`; 0 after a failure.
  std::uint32_t number(std::string_view what, std::uint32_t limit) {
    const std::size_t begin = at_;
    std::uint32_t value = 0;
    while (!failed() && at_ < text_.size() && digit(text_[at_]) && value <= limit)
      value = value << 4 | *digit(text_[at_++]); // no overflow: value <= limit <= ffff before the shift
    if (at_ > begin && value <= limit)
      return value;
    at_ = failed() ? at_ : begin;
    expect(fmt::format("{}, 0 to {:x}", what, limit));
    return 0;
  }

  void expect(std::string what) {
    if (!failed())
      expected_ = std::move(what);
  }
  [[nodiscard]] tl::unexpected<failure> refuse() const {
    return fail(EINVAL, fmt::format("{}: expected {} at column {}", quoted(text_), expected_, at_ + 1));
  }
  /// The same for a text of many parts: shows only what begins at `part`.
  [[nodiscard]] tl::unexpected<failure> refuse_from(std::size_t part) const {
    return fail(EINVAL,
                fmt::format("{}: expected {} at column {}", quoted(text_.substr(part)), expected_, at_ - part + 1));
  }

private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::string expected_;
};

} // namespace pci
