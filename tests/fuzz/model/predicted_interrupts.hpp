// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/model/predicted_space.hpp"

namespace model {

/// What the operations on MSI and MSI-X come to, and in which order they reach the card and Xen.
class predicted_interrupts {
public:
  struct outcome {
    int error = 0;
    std::uint32_t value = 0;
    std::vector<std::uint16_t> pirqs;
  };
  struct vector {
    std::uint16_t entry = 0, pirq = 0;
  };

  predicted_interrupts(const blueprint& plan, hardware& to) : plan_(plan), to_(to) {}

  [[nodiscard]] outcome enable_msi(bool allowed);
  /// `count` is the guest's word, of which the page has room for 128 entries.
  [[nodiscard]] outcome enable_msix(std::uint32_t count, const std::vector<std::uint16_t>& entries, bool allowed);
  [[nodiscard]] outcome disable();
  /// The guest is gone.
  void end();

  messages on = messages::none;
  std::vector<vector> vectors;

private:
  [[nodiscard]] bool decodes_memory();
  [[nodiscard]] bool change(unsigned offset, std::uint32_t clear, std::uint32_t set);
  [[nodiscard]] bool change(unsigned offset, std::uint32_t clear, std::uint32_t set, std::uint32_t& before);
  [[nodiscard]] bool turn_on(messages what, const std::vector<std::uint16_t>& entries);
  [[nodiscard]] bool map(messages what, const std::vector<std::uint16_t>& entries);
  [[nodiscard]] bool map_one(const deed& what);
  bool turn_off(bool line_too);
  bool unmap_all();

  const blueprint& plan_;
  hardware& to_;
};

} // namespace model
