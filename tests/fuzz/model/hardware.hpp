// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include "fuzz/model/blueprint.hpp"
#include "pci/config_space/port.hpp"
#include "pci/interrupts/message_interrupts.hpp"

namespace model {

/// What has reached the card, or Xen on its behalf.
struct deed {
  enum class kind : std::uint8_t { write, map_msi, map_msix, unmap };
  kind what = kind::write;
  std::uint32_t where = 0; ///< a register, an entry, a pirq
  unsigned width = 0;
  std::uint64_t value = 0;
  friend bool operator==(const deed&, const deed&) = default;
};

/// How the card answers.
enum class manner : std::uint8_t {
  well,
  gone,          ///< ENODEV
  broken,        ///< EIO
  broken_writes, ///< reads are good
  broken_reads,  ///< writes are
  silent,        ///< all ones, and writes are lost
};
inline constexpr unsigned manners = 6;

/// A card's registers, and Xen's pirqs for it. There are two of each: one for what is tested, one for the model.
class hardware {
public:
  explicit hardware(const blueprint& plan) : bytes_(plan.config), writable_(plan.size()), cleared_(plan.size()) {
    allow(0x04, 2, 0x07ff);
    allow(0x0c, 4, 0x4000ffff); // cache line, latency, the start bit of BIST
    allow(0x28, 4, 0xffffffff);
    for (std::size_t at = 0x10; at < (plan.bridge ? 0x18U : 0x28U); at += 4)
      allow(at, 4, 0xfffffff0);
    allow(plan.bridge ? 0x38 : 0x30, 4, 0xfffff801);
    for (std::size_t at = 0x40; at < plan.size(); ++at) // what takes everything shows the most
      writable_.at(at) = 0xff;
    cleared_.at(7) = 0xf9;
    for (const capability& each : plan.capabilities)
      if (each.what == kind::pm) {
        writable_.at(each.offset + 5U) = 0x7f;
        cleared_.at(each.offset + 5U) = 0x80;
      }
  }

  /// errno; 0: it was read.
  int read(unsigned offset, unsigned width, std::uint32_t& into) {
    into = ones(width);
    if (how == manner::gone)
      return ENODEV;
    if (how == manner::broken || how == manner::broken_reads)
      return EIO;
    if (how == manner::silent)
      return 0;
    into = get(offset, width);
    return 0;
  }
  int write(unsigned offset, unsigned width, std::uint32_t value) {
    deeds.push_back({deed::kind::write, offset, width, value});
    if (how == manner::gone)
      return ENODEV;
    if (how == manner::broken || how == manner::broken_writes)
      return EIO;
    for (unsigned i = 0; i < width && how != manner::silent; ++i) {
      const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
      std::uint8_t& here = bytes_.at(offset + i);
      const std::uint8_t can = writable_.at(offset + i);
      here = static_cast<std::uint8_t>(((here & ~can) | (byte & can)) & ~(cleared_.at(offset + i) & byte));
    }
    return 0;
  }

  /// Past the rules: what the card does by itself.
  void set(unsigned offset, unsigned width, std::uint32_t value) {
    for (unsigned i = 0; i < width; ++i)
      bytes_.at(offset + i) = static_cast<std::uint8_t>(value >> (8 * i));
  }
  [[nodiscard]] std::uint32_t get(unsigned offset, unsigned width) const {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < width; ++i)
      value |= std::uint32_t{bytes_[offset + i]} << (8 * i);
    return value;
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool same(const hardware& other) const { return deeds == other.deeds && bytes_ == other.bytes_; }
  [[nodiscard]] static std::uint32_t ones(unsigned width) { return 0xffffffffU >> (8 * (4 - width)); }

  // -- pirqs, which are counted up

  int map(const deed& what, std::uint16_t& pirq) {
    deeds.push_back(what);
    if (maps_left == 0)
      return ENOSPC;
    --maps_left;
    pirq = next_is_zero ? std::uint16_t{0} : next_pirq_++;
    next_is_zero = false;
    return 0;
  }
  int unmap(std::uint16_t pirq) {
    deeds.push_back({deed::kind::unmap, pirq, 0, 0});
    return unmap_error;
  }

  manner how = manner::well;
  std::vector<deed> deeds; ///< since they were last cleared
  unsigned maps_left = 0xffffffff;
  bool next_is_zero = false;
  int unmap_error = 0;

private:
  void allow(std::size_t offset, unsigned width, std::uint32_t bits) {
    for (unsigned i = 0; i < width; ++i)
      writable_.at(offset + i) = static_cast<std::uint8_t>(bits >> (8 * i));
  }

  std::vector<std::uint8_t> bytes_, writable_, cleared_;
  std::uint16_t next_pirq_ = 16;
};

/// The hardware as pci/ reaches it.
class port final : public pci::config_port, public pci::pirq_port {
public:
  explicit port(hardware& to) : to_(to) {}
  pci::result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    fuzz::require(is_access(offset, width), "a read of the hardware is aligned and within the space");
    std::uint32_t value = 0;
    if (const int error = to_.read(offset, width, value); error != 0)
      return pci::fail(error, {});
    return value;
  }
  pci::result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    fuzz::require(is_access(offset, width) && value <= hardware::ones(width),
                  "a write to the hardware is aligned and within the space");
    return done(to_.write(offset, width, value));
  }
  pci::result<std::uint16_t> map_msi() override { return map({deed::kind::map_msi}); }
  pci::result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t table_base) override {
    return map({deed::kind::map_msix, entry, 0, table_base});
  }
  pci::result<void> unmap(std::uint16_t pirq) override { return done(to_.unmap(pirq)); }

private:
  [[nodiscard]] bool is_access(unsigned offset, unsigned width) const {
    return (width == 1 || width == 2 || width == 4) && offset % width == 0 && offset + width <= to_.size();
  }
  static pci::result<void> done(int error) {
    return error == 0 ? pci::result<void>{} : pci::result<void>(pci::fail(error, {}));
  }
  pci::result<std::uint16_t> map(const deed& what) {
    std::uint16_t pirq = 0;
    if (const int error = to_.map(what, pirq); error != 0)
      return pci::fail(error, {});
    return pirq;
  }

  hardware& to_;
};

} // namespace model
