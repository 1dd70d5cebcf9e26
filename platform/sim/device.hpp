// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
#include "pci/function.hpp"
#include "pci/result.hpp"

namespace platform::sim {

/// A PCI function as it was found in a real machine: its configuration space and what the host knew of it.
struct device_model {
  pci::sbdf address;
  std::uint16_t vendor = 0; ///< for a virtual function what its capability says: its own register reads ffff
  std::uint16_t device = 0;
  std::vector<std::byte> config;            ///< 256 or 4096 bytes
  std::array<pci::resource, 7> resources{}; ///< BARs and ROM, at host addresses
  unsigned irq = 0;                         ///< GSI; 0: no line
  bool level = true;                        ///< the line's trigger
  std::optional<pci::sbdf> physical_function;
  std::vector<pci::sbdf> bridges; ///< above it, the nearest first
  bool has_flr = false;
  bool has_reset = true;          ///< the kernel has some method to reset it
  bool loses_state_in_d3 = false; ///< D3hot to D0 resets it, as much hardware does, but not QEMU's
};

/// Reads the text of `lspci -xxxx` for one function: "00:03.0 Class ...", then "00: 86 80 ..." lines (rows that are
/// missing are zero). Between them may stand what lspci does not say: "ids: 8086:10d3", "irq: 22 level",
/// "reset: flr pm bus", "physfn: 0000:02:00.0" and "resource: START END FLAGS" as sysfs has it, one line a resource.
/// Without resource lines the BARs are taken from the dump, their sizes from their alignment.
[[nodiscard]] pci::result<device_model> parse_dump(std::string_view text);

/// One of the functions whose dumps are compiled in: "e1000e", "nvme", "nvme-vf", "e1000", "bridge". ENOENT: another.
[[nodiscard]] pci::result<device_model> builtin_model(std::string_view name);

/// The same function at another address, its BARs moved to a place of its own.
[[nodiscard]] device_model place(device_model model, const pci::sbdf& address);

/// The registers of one function. Writes change what hardware lets them change, and nothing else.
/// Not thread-safe: the hypervisor's lock is held.
class device {
public:
  explicit device(device_model model);

  /// Offset and width have been checked: within the space, aligned.
  [[nodiscard]] std::uint32_t read(std::size_t offset, unsigned width) const;
  void write(std::size_t offset, unsigned width, std::uint32_t value);
  /// Back to the values of power-on: COMMAND 0, BARs unassigned, interrupts off.
  void reset();

  [[nodiscard]] const device_model& model() const { return model_; }
  [[nodiscard]] std::size_t config_size() const { return config_.size(); }
  [[nodiscard]] std::uint16_t command() const { return static_cast<std::uint16_t>(read(4, 2)); }
  void set_command(std::uint16_t set, std::uint16_t clear);
  /// Offsets of capabilities; 0: absent.
  [[nodiscard]] std::uint8_t msi() const { return msi_; }
  [[nodiscard]] std::uint8_t msix() const { return msix_; }
  [[nodiscard]] std::uint16_t msi_control() const { return msi_ == 0 ? 0 : word(msi_ + 2U); }
  [[nodiscard]] std::uint16_t msix_control() const { return msix_ == 0 ? 0 : word(msix_ + 2U); }
  /// Sets and clears bits past the write masks: what the device or Xen does by itself.
  void force_word(std::size_t offset, std::uint16_t set, std::uint16_t clear);
  void force(std::size_t offset, unsigned width, std::uint32_t value) { put(offset, width, value); }
  /// Adds an MSI-X capability that the model has not, in front of the others. False: there is no room.
  bool grow_msix();
  [[nodiscard]] bool sleeps() const { return pm_ != 0 && (word(pm_ + 4U) & 3U) == 3; } ///< in D3hot
  /// What dom0's kernel saves before a reset of its own and restores after it, beside the header: whatever a guest has
  /// left there is there again.
  struct kept_register {
    std::uint16_t offset;
    std::uint8_t width;
  };
  [[nodiscard]] const std::vector<kept_register>& kept_by_kernel() const { return kept_; }
  /// Broken hardware: from now on these bits of a 16-bit register read 1 whatever is written, resets included. 0: whole
  /// again.
  void stick(std::size_t offset, std::uint16_t bits);
  [[nodiscard]] std::uint16_t stuck(std::size_t offset) const {
    return offset == stuck_at_ ? stuck_ : std::uint16_t{0};
  }
  /// How often a guest got the VPD write flag through.
  [[nodiscard]] unsigned vpd_writes() const { return vpd_writes_; }
  /// How often it was reset, by whomever.
  [[nodiscard]] unsigned resets() const { return resets_; }

private:
  struct extended_rule {
    std::uint16_t offset;
    std::uint32_t writable;
    std::uint32_t clear;
  };
  [[nodiscard]] std::uint16_t word(std::size_t offset) const { return static_cast<std::uint16_t>(read(offset, 2)); }
  void put(std::size_t offset, unsigned width, std::uint32_t value);
  [[nodiscard]] std::uint8_t capability(std::uint8_t id) const;
  void allow(std::size_t offset, unsigned width, std::uint32_t writable, std::uint32_t clear = 0);
  void allow_header();
  void allow_bars(unsigned count);
  void allow_capabilities();
  void allow_message_interrupts();
  void keep_headers();
  void allow_extended();
  void allow_extended(std::uint16_t id, std::uint16_t base);
  void boot();
  void after_write(std::size_t offset, unsigned width, unsigned old_power_state);

  device_model model_;
  std::vector<std::byte> config_;
  std::array<std::uint8_t, 256> writable_{};
  std::array<std::uint8_t, 256> clear_{};
  std::vector<extended_rule> extended_;
  std::vector<kept_register> kept_;
  std::uint8_t msi_ = 0, msix_ = 0, pm_ = 0, vpd_ = 0, express_ = 0;
  unsigned vpd_writes_ = 0, resets_ = 0;
  std::size_t stuck_at_ = 0;
  std::uint16_t stuck_ = 0;
};

} // namespace platform::sim
