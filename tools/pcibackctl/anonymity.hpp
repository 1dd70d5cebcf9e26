// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/pcibackctl/json_text.hpp"

namespace client_program {

/// Replaces what tells whose a host is: guests' names, UUIDs, and the serial numbers of cards. The same is replaced by
/// the same each time, so that it can still be seen what belongs together: "guest-1", "uuid-2", "serial-3".
class anonymiser {
public:
  /// A guest's name. Numbers are no names.
  void add_guest(const std::string& name);
  /// Names in any answer of the daemon's: what stands under "name", "guest" or "asked", without what is in brackets.
  void learn(const json& from);

  [[nodiscard]] std::string text(std::string_view what);
  /// The texts in a value; its keys are the daemon's, and stay.
  [[nodiscard]] json value(const json& what);

private:
  [[nodiscard]] std::string without_names(std::string_view text) const;
  [[nodiscard]] std::string without_numbers(std::string_view text);

  std::map<std::string, std::string> guests_;
  std::map<std::string, std::string> numbers_; ///< UUIDs and serial numbers
};

} // namespace client_program
