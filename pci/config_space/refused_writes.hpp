// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pci/config_space/field.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/operations.hpp"

namespace pci {

/// A register that a guest wrote in vain, wholly or in part.
struct refused_write {
  std::uint16_t offset = 0;
  std::uint8_t size = 0;
  std::uint32_t value = 0;            ///< the last one
  std::uint32_t mask = 0;             ///< the bits that all such writes would have changed
  std::uint64_t count = 0;            ///< how many
  op_error error = op_error::success; ///< what the guest was told of the last one; success: dropped without a word
  friend bool operator==(const refused_write&, const refused_write&) = default;
};

/// The writes of one guest that did not do what it asked for: all are counted, the last `most` registers are kept. What
/// a guest does cannot make it grow.
class refused_writes {
public:
  static constexpr std::size_t most = 32;

  /// `count` of `one` is ignored.
  void note(const refused_write& one);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// The one written last stands last.
  [[nodiscard]] std::span<const refused_write> last() const { return last_; }

private:
  std::uint64_t count_ = 0;
  std::vector<refused_write> last_;
};

/// The quirks that would let all those writes through, with those that there are: what to put into the settings.
/// Registers that overlap become one. What no quirk may open (see append_quirks) is left out. `fields` are a space's,
/// without its quirks.
[[nodiscard]] std::vector<quirk> suggested_quirks(std::vector<quirk> present, std::span<const refused_write> refused,
                                                  std::span<const field> fields, std::size_t size);

} // namespace pci
