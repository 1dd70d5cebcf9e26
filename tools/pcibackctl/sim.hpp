// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "pci/result.hpp"

namespace client_program {

/// What `pcibackctl sim` was given.
struct sim_words {
  std::string action; ///< the daemon knows which there are
  std::string target; ///< an address, or a guest's name
  std::optional<double> seconds{};
  std::optional<unsigned> count{};
  std::optional<unsigned> vector{};
  std::string severity{}; ///< empty: not given
};

/// The request's line, without its end.
[[nodiscard]] std::string sim_request(const sim_words& words);

/// The line to print for the daemon's result. EPROTO: it is of another form.
[[nodiscard]] pci::result<std::string> sim_message(const std::string& result);

} // namespace client_program
