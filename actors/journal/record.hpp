// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/types.hpp"
#include "pci/config_space/space.hpp"
#include "pci/function.hpp"
#include "pci/interrupts/message_interrupts.hpp"
#include "platform/pci_host.hpp"

namespace actors {

/// What the daemon knows of a held function that nobody else can tell it after a restart.
struct function_record {
  static constexpr int version = 1;

  pci::function function; ///< as it was when it was held, the reference configuration included
  platform::holder holder = platform::holder::stub;
  std::string previous_driver;                   ///< of dom0; empty: none
  std::optional<platform::power_settings> power; ///< how dom0 managed its power; empty: not known
  std::optional<messages::domain_id> domain;     ///< who may have it, and whose pirqs these are
  std::optional<messages::domain_id> target;     ///< whose device model uses it: its pirqs are not the daemon's
  bool granted = false;                          ///< the daemon did the toolstack's half for that domain
  bool permissive = false;                       ///< that guest's lease is
  bool acknowledging = true;                     ///< what the administrator set for its interrupt line
  pci::interrupt_mode mode = pci::interrupt_mode::intx;
  std::vector<pci::bound_vector> vectors;
  std::uint16_t command = 0; ///< the guest's COMMAND, as of the last change of its interrupts; see guest_row
  bool decoding = false;
  std::vector<messages::domain_id> past_guests; ///< which had it before, and lived on
  std::uint64_t written = 0; ///< counts what the journal writes: of two records the greater is the later
  bool doubtful = false;     ///< not written: it could not be replaced when something had changed
  /// All but the last two.
  friend bool operator==(const function_record&, const function_record&);
};

/// One JSON object in one line.
[[nodiscard]] std::string to_text(const function_record& what);

/// Reads it again, strictly: EPROTO in words that say what is wrong, for a text that is cut off, garbled, of another
/// version, or out of bounds. Never throws, whatever the text is.
[[nodiscard]] pci::result<function_record> parse_record(std::string_view text);

} // namespace actors
