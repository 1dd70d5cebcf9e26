// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "pci/interrupts/message_interrupts.hpp"

/// A function with MSI and MSI-X, its hardware, and Xen behind it.
namespace test {

using namespace pci;

inline constexpr std::uint8_t msi_at = 0x50, msix_at = 0x70;
inline constexpr std::uint16_t msi_control = msi_at + 2, msix_control = msix_at + 2;
inline constexpr std::uint64_t table_base = 0x12febd0000;
inline constexpr std::uint16_t table_size = 5;

/// A function with 5 MSI-X vectors, MSI, and GSI 23.
inline function make_function() {
  function nic;
  nic.irq = 23;
  nic.config.resize(256);
  const auto put = [&](std::size_t at, std::uint32_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
      nic.config[at + i] = static_cast<std::byte>(value >> (8 * i));
  };
  put(reg::command, reg::command_memory | reg::command_master, 2);
  put(reg::status, reg::status_capabilities, 2);
  put(reg::capabilities, msi_at, 1);
  put(msi_at, reg::cap_msi | msix_at << 8, 2);
  put(msi_control, reg::msi_64, 2);
  put(msix_at, reg::cap_msix, 2);
  put(msix_control, table_size - 1, 2);
  put(msix_at + reg::msix_table, 3, 4);
  put(msix_at + reg::msix_pba, 0x2003, 4);
  nic.resources[3] = {table_base, table_base + 0x3fff, resource::memory | resource::memory_64};
  return nic;
}

/// The function's hardware and Xen behind it, as strict as they are; keeps a log of what changes something.
class machine final : public config_port, public pirq_port {
public:
  enum class fault : std::uint8_t {
    none,
    once,       ///< the call number `fail_at` fails and does nothing
    from_there, ///< and so do all after it
    lying,      ///< the call fails, but a write has had its effect
  };

  explicit machine(const function& nic) {
    for (std::size_t at = 0; at < 256; at += 2)
      words[at / 2] = static_cast<std::uint16_t>(nic.copy(at, 2));
  }

  result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    REQUIRE(width == 2);
    if (faulty())
      return fail(EIO, "read");
    return words.at(offset / 2);
  }
  result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    REQUIRE(width == 2);
    REQUIRE(value <= 0xffff);
    const bool bad = faulty();
    if (!bad || how == fault::lying) {
      words.at(offset / 2) = static_cast<std::uint16_t>(value);
      log.push_back(fmt::format("{:02x}={:04x}", offset, value));
      CHECK(!(msi_on() && msix_on()));
    }
    return bad ? result<void>{fail(EIO, "write")} : result<void>{};
  }
  result<std::uint16_t> map_msi() override { return map("map msi"); }
  result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t base) override {
    CHECK(base == table_base);
    CHECK(decoding());
    return map(fmt::format("map msix {}", entry));
  }
  result<void> unmap(std::uint16_t pirq) override {
    if (faulty())
      return fail(unmap_error, "unmap");
    poisoned = poisoned || !decoding();
    CHECK(mapped.erase(pirq) == 1);
    log.push_back(fmt::format("unmap {}", pirq));
    return {};
  }

  [[nodiscard]] std::uint16_t& word(std::uint16_t offset) { return words.at(offset / 2); }
  [[nodiscard]] bool msi_on() const { return (words[msi_control / 2] & reg::msi_enable) != 0; }
  [[nodiscard]] bool msix_on() const { return (words[msix_control / 2] & reg::msix_enable) != 0; }
  [[nodiscard]] bool decoding() const { return (words[reg::command / 2] & reg::command_memory) != 0; }
  [[nodiscard]] bool intx_off() const { return (words[reg::command / 2] & reg::command_intx_disable) != 0; }
  std::vector<std::string> take_log() { return std::exchange(log, {}); }
  void fault_at(fault kind, int call) {
    how = kind;
    fail_at = call;
    calls = 0;
  }

  std::array<std::uint16_t, 128> words{};
  std::set<std::uint16_t> mapped;
  std::uint16_t next_pirq = 55; ///< Xen's go down
  bool poisoned = false;
  int calls = 0;
  int unmap_error = EBUSY;

private:
  bool faulty() {
    const int call = calls++;
    return how == fault::from_there ? call >= fail_at : how != fault::none && call == fail_at;
  }
  result<std::uint16_t> map(const std::string& what) {
    if (faulty())
      return fail(ENOSPC, what);
    mapped.insert(next_pirq);
    log.push_back(fmt::format("{} -> {}", what, next_pirq));
    return next_pirq--;
  }

  fault how = fault::none;
  int fail_at = 0;
  std::vector<std::string> log;
};

inline request ask(op_code code) { return {.code = static_cast<std::uint32_t>(code), .entries = {}}; }
inline request ask_msix(std::vector<std::uint16_t> entries) {
  request what = ask(op_code::enable_msix);
  what.value = static_cast<std::uint32_t>(entries.size());
  what.entries = std::move(entries);
  return what;
}

struct fixture {
  function nic = make_function();
  machine hardware{nic};
  message_interrupts interrupts{nic};
  policy allowed;

  answer operate(const request& what, bool decodes = true) {
    return interrupts.operate(what, allowed, decodes, hardware, hardware);
  }
  std::set<std::uint16_t> pirqs() const {
    std::set<std::uint16_t> all;
    for (const auto& one : interrupts.vectors())
      all.insert(one.pirq);
    return all;
  }
};

using lines = std::vector<std::string>;

} // namespace test
