// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "pci/config_space/field.hpp"
#include "pci/config_space/port.hpp"
#include "pci/function.hpp"

namespace test {

/// One access that reached the hardware.
struct hardware_access {
  bool write = false;
  unsigned offset = 0;
  unsigned width = 0;
  std::uint32_t value = 0;
  friend bool operator==(const hardware_access&, const hardware_access&) = default;
};

/// A function's registers in memory: each bit is read-only, writable or write-1-to-clear; accesses are recorded, and
/// can be told to fail.
class fake_port : public pci::config_port {
public:
  explicit fake_port(const pci::function& function) { load(function); }

  /// Sets the registers to the reference copy, with the bits of the header that any function lets be written.
  void load(const pci::function& function) {
    size_ = function.config_size();
    for (std::size_t i = 0; i < size_; ++i)
      bytes_.at(i) = std::to_integer<std::uint8_t>(function.config[i]);
    allow(0x04, 2, 0x07ff);
    clear_on_one(0x06, 2, 0xf900);
    allow(0x0c, 4, 0x4000ffff); // cache line, latency; BIST's start bit
    allow(0x10, 4, 0xfffffff0);
  }

  void allow(unsigned offset, unsigned width, std::uint32_t bits) { put(writable_, offset, width, bits); }
  void clear_on_one(unsigned offset, unsigned width, std::uint32_t bits) { put(cleared_, offset, width, bits); }
  void set(unsigned offset, unsigned width, std::uint32_t value) { put(bytes_, offset, width, value); }
  [[nodiscard]] std::uint32_t get(unsigned offset, unsigned width) const { return take(bytes_, offset, width); }

  /// Reads then have these bits above the width as well.
  void make_noise(std::uint32_t bits) { noise_ = bits; }
  /// The next `n` reads have no answer: all ones.
  void mute(unsigned n) { mute_ = n; }
  void fail_reads(int error) { read_error_ = error; }
  void fail_writes(int error) { write_error_ = error; }
  /// From the `n`th access from now on (0: the next), all fail.
  void fail_after(std::size_t n, int error) { fail_from_ = {accesses.size() + n, error}; }

  pci::result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    const int error = failure(read_error_);
    accesses.push_back({false, offset, width, 0});
    if (error != 0)
      return pci::fail(error, "fake read");
    if (!sound(offset, width))
      return pci::fail(EINVAL, "fake read");
    if (mute_ != 0) {
      --mute_;
      return pci::all_bits(width);
    }
    return get(offset, width) | (noise_ & ~pci::all_bits(width));
  }

  pci::result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    const int error = failure(write_error_);
    accesses.push_back({true, offset, width, value});
    if (error != 0)
      return pci::fail(error, "fake write");
    if (!sound(offset, width) || (value & ~pci::all_bits(width)) != 0)
      return pci::fail(EINVAL, "fake write");
    const std::uint32_t can = take(writable_, offset, width);
    const std::uint32_t clear = take(cleared_, offset, width) & value;
    set(offset, width, ((get(offset, width) & ~can) | (value & can)) & ~clear);
    return {};
  }

  [[nodiscard]] std::vector<hardware_access> writes() const {
    std::vector<hardware_access> found;
    std::copy_if(accesses.begin(), accesses.end(), std::back_inserter(found),
                 [](const hardware_access& each) { return each.write; });
    return found;
  }

  std::vector<hardware_access> accesses;

private:
  using registers = std::array<std::uint8_t, 4096>;

  /// What the interface promises: aligned, 1, 2 or 4 bytes, inside.
  [[nodiscard]] bool sound(unsigned offset, unsigned width) const {
    return (width == 1 || width == 2 || width == 4) && offset % width == 0 && offset + width <= size_;
  }
  [[nodiscard]] int failure(int standing) const {
    return fail_from_ && accesses.size() >= fail_from_->at ? fail_from_->error : standing;
  }
  static void put(registers& where, unsigned offset, unsigned width, std::uint32_t value) {
    for (unsigned i = 0; i < width; ++i)
      where.at(offset + i) = static_cast<std::uint8_t>(value >> (8 * i));
  }
  static std::uint32_t take(const registers& where, unsigned offset, unsigned width) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < width; ++i)
      value |= static_cast<std::uint32_t>(where.at(offset + i)) << (8 * i);
    return value;
  }

  struct turning_point {
    std::size_t at;
    int error;
  };

  registers bytes_{}, writable_{}, cleared_{};
  std::size_t size_ = 0;
  unsigned mute_ = 0;
  std::uint32_t noise_ = 0;
  int read_error_ = 0, write_error_ = 0;
  std::optional<turning_point> fail_from_;
};

} // namespace test
