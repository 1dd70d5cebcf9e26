// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include <tl/expected.hpp>

#include "tools/pcibackctl/client.hpp"

namespace client_program {

/// What `pcibackctl top` was given.
struct top_words {
  double delay = 2;    ///< seconds between two looks: 0.1 to 3600
  unsigned frames = 0; ///< ends after so many; 0: when it is told to
  bool batch = false;  ///< text without a screen
  std::string order = "operations";
};

/// Shows what goes on, on the whole terminal or frame after frame; with `as_json` an object a frame. Returns the exit
/// code of Ctrl-C, or 0.
[[nodiscard]] tl::expected<int, complaint> run_top(const top_words& words, const std::string& socket, bool as_json,
                                                   const patience& how);

} // namespace client_program
