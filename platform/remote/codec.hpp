// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "platform/remote/values.hpp"

namespace platform::remote {

/// The largest packet, in bytes. A record of the journal and the metrics of a full host are less.
inline constexpr std::size_t largest_packet = 0x30000;

/// Puts values behind each other. Both ends are one program on one machine: numbers are as its memory has them.
class writer {
public:
  void raw(const void* from, std::size_t size) { bytes_.append(static_cast<const char*>(from), size); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

private:
  std::string bytes_;
};

/// Takes them out again, and believes nothing of what it reads: after the first thing that cannot be, `good` is false
/// and every value is empty.
class reader {
public:
  explicit reader(std::string_view bytes) : left_(bytes) {}
  void raw(void* to, std::size_t size) {
    if (!needs(size))
      return;
    std::memcpy(to, left_.data(), size);
    left_.remove_prefix(size);
  }
  /// A number of things of which each has one byte at least.
  [[nodiscard]] std::size_t count() {
    std::uint32_t number = 0;
    raw(&number, sizeof number);
    return needs(number) ? number : 0;
  }
  [[nodiscard]] std::string_view text() {
    const auto size = count();
    const auto found = left_.substr(0, size);
    left_.remove_prefix(found.size());
    return found;
  }
  void refuse() {
    good_ = false;
    left_ = {};
  }
  [[nodiscard]] bool good() const { return good_; }
  /// All was read, and all was good.
  [[nodiscard]] bool finished() const { return good_ && left_.empty(); }

private:
  [[nodiscard]] bool needs(std::size_t size) {
    if (left_.size() < size)
      refuse();
    return good_;
  }
  std::string_view left_;
  bool good_ = true;
};

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;
template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;

template <class T>
void put(writer& to, const T& value) {
  if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::vector<std::byte>>) {
    const auto size = static_cast<std::uint32_t>(value.size());
    to.raw(&size, sizeof size);
    to.raw(value.data(), value.size());
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    to.raw(&value, sizeof value);
  } else if constexpr (is_list<T>) {
    const auto size = static_cast<std::uint32_t>(value.size());
    to.raw(&size, sizeof size);
    for (const auto& each : value)
      put(to, each);
  } else if constexpr (is_array<T>) {
    for (const auto& each : value)
      put(to, each);
  } else if constexpr (is_optional<T>) {
    put(to, value.has_value());
    if (value)
      put(to, *value);
  } else if constexpr (is_tuple<T>) {
    std::apply([&](const auto&... each) { (put(to, each), ...); }, value);
  } else {
    std::apply([&](const auto&... each) { (put(to, each), ...); }, tied(value));
  }
}

template <class T>
void get(reader& from, T& value);

/// A number, of which an enumeration and a truth have not all values.
template <class T>
void get_number(reader& from, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    std::uint8_t byte = 0;
    from.raw(&byte, 1);
    value = byte == 1;
    if (byte > 1)
      from.refuse();
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number{};
    from.raw(&number, sizeof number);
    if (number > static_cast<std::underlying_type_t<T>>(last_of<T>)) {
      from.refuse();
      number = {};
    }
    value = static_cast<T>(number);
  } else {
    from.raw(&value, sizeof value);
  }
}

template <class T>
void get(reader& from, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    value = from.text();
  } else if constexpr (std::is_same_v<T, std::vector<std::byte>>) {
    const auto text = from.text();
    value.resize(text.size());
    if (!text.empty())
      std::memcpy(value.data(), text.data(), text.size());
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    get_number(from, value);
  } else if constexpr (is_list<T>) {
    value.clear();
    for (auto left = from.count(); left != 0 && from.good(); --left)
      get(from, value.emplace_back());
  } else if constexpr (is_array<T>) {
    for (auto& each : value)
      get(from, each);
  } else if constexpr (is_optional<T>) {
    bool there = false;
    get(from, there);
    value.reset();
    if (there)
      get(from, value.emplace());
  } else if constexpr (is_tuple<T>) {
    std::apply([&](auto&... each) { (get(from, each), ...); }, value);
  } else {
    std::apply([&](auto&... each) { (get(from, each), ...); }, tied(value));
  }
}

/// The whole of `bytes` is one value; empty: it is not.
template <class T>
[[nodiscard]] std::optional<T> decode(std::string_view bytes) {
  reader from{bytes};
  T value{};
  get(from, value);
  return from.finished() ? std::optional<T>(std::move(value)) : std::nullopt;
}

template <class T>
[[nodiscard]] std::string encode(const T& value) {
  writer to;
  put(to, value);
  return to.bytes();
}

} // namespace platform::remote
