// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

/// What the fuzz targets have in common.
namespace fuzz {

/// Ends the run, which libFuzzer then keeps the input of, unless `holds`.
inline void require(bool holds, const char* what) {
  if (holds)
    return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// The fuzzer's bytes, taken from the front; zeros when they are used up.
class input {
public:
  explicit input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  template <class Number>
  Number take() {
    Number value{};
    const std::size_t have = std::min(sizeof value, bytes_.size());
    if (have > 0)
      std::memcpy(&value, bytes_.data(), have);
    bytes_ = bytes_.subspan(have);
    return value;
  }
  std::uint8_t byte() { return take<std::uint8_t>(); }
  /// One of 0 .. `many` - 1; `many` is 1 .. 256.
  unsigned below(unsigned many) { return byte() % many; }
  bool flag() { return (byte() & 1) != 0; }
  /// Once in `many` times, 2 .. 256; never with an input that is used up.
  bool once_in(unsigned many) { return byte() % many == many - 1; }
  /// All up to a newline, which is left out, or to the end.
  std::string_view line() {
    const std::string_view all{reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
    const auto found = all.substr(0, all.find('\n'));
    bytes_ = bytes_.subspan(std::min(all.size(), found.size() + 1));
    return found;
  }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

private:
  std::span<const std::uint8_t> bytes_;
};

/// Counts what a target has done besides its executions, and says so when the process ends: "fuzz: 10000000
/// operations".
class account {
public:
  explicit account(const char* what) : what_(what) {}
  account(const account&) = delete;
  account& operator=(const account&) = delete;
  ~account() { std::fprintf(stderr, "fuzz: %llu %s\n", count_, what_); }
  void add() { ++count_; }

private:
  const char* what_;
  unsigned long long count_ = 0;
};

} // namespace fuzz
