// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "messages/types.hpp"

namespace actors {

/// What becomes of a record of the journal that a daemon of another version has written, when one of this version takes
/// over.
struct record_fate {
  enum class kind : std::uint8_t {
    kept,  ///< all that it says is taken over
    parts, ///< it is taken over, but for what `what` names
    lost   ///< it cannot be used, and is set aside, because of `what`
  };
  kind how = kind::kept;
  std::string what;                            ///< one line; empty when all is kept
  std::optional<messages::domain_id> domain{}; ///< whose the function is, as far as that can be read
};

/// `name`: the record's, an address or "resets". Reads what this version would read, and writes it again: what is not
/// there afterwards is lost. Never throws, whatever the text is.
[[nodiscard]] record_fate fate_of_record(const std::string& name, const std::string& text);

} // namespace actors
