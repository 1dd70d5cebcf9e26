// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <random>

#include "world.hpp"

namespace cards {

/// A guest that has the card, from its first look to its death, and does to it all that a guest can.
class guest {
public:
  guest(world& in, messages::domain_id domain, std::mt19937 random);

  [[nodiscard]] platform::sim::frontend& front() { return front_; }
  /// True when its scan has found the card.
  [[nodiscard]] bool finds_card();
  void scan();
  void size_registers();
  void use_memory();
  /// MSI and MSI-X on and off, in every order, twice.
  void toggle_messages();
  /// To each offset, in each width.
  void write_at_random(bool permissive);

private:
  struct kind {
    bool there = false; ///< and can be used
    std::uint16_t control = 0;
    std::uint16_t enable = 0;
  };

  platform::sim::reply access(pci::op_code code, std::int32_t offset, std::int32_t size, std::uint32_t value = 0);
  std::uint32_t read(std::int32_t offset, std::int32_t size);
  void write(std::int32_t offset, std::int32_t size, std::uint32_t value);
  void size_register(std::int32_t offset, const pci::resource& what, bool is_rom);
  void compare_with_hardware(const space_bytes& seen);
  [[nodiscard]] bool may_differ(std::size_t offset) const;
  [[nodiscard]] bool is_on(const kind& which);
  void play(std::string_view order);
  void step(char what, std::string_view order);
  void check_strict(const space_bytes& before);
  [[nodiscard]] bool may_change(std::size_t offset) const;

  world& in_;
  complaints& wrong_;
  messages::domain_id domain_;
  platform::sim::frontend front_;
  std::mt19937 random_;
  pci::sbdf at_; ///< where it sees the card
  kind msi_, msix_;
  std::uint16_t msix_entries_ = 0;
  pci::interrupt_mode mode_ = pci::interrupt_mode::intx;
  std::vector<std::uint16_t> pirqs_;
};

} // namespace cards
