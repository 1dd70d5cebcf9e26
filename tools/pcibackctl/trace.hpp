// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "tools/pcibackctl/client.hpp"

namespace client_program {

/// What `pcibackctl trace` was given.
struct trace_words {
  std::string target;            ///< a function or a guest; empty: all
  std::vector<std::string> only; ///< of trace_kinds; empty: all
  std::string file;              ///< to be written for Wireshark instead; "-" is standard output
  std::uint64_t count = 0;       ///< ends after so many operations; 0: when it is interrupted
};

/// Tells of the operations of guests, a line each, until the daemon ends or `count` is reached.
[[nodiscard]] tl::expected<void, complaint> run_trace(const trace_words& words, const std::string& socket, bool as_json,
                                                      const patience& how);

} // namespace client_program
