// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/guard_state.hpp"

namespace pci {

std::string_view to_string(guard_state state) {
  switch (state) {
  case guard_state::none:
    return "none";
  case guard_state::armed:
    return "armed";
  case guard_state::holding:
    return "holding";
  case guard_state::unguarded:
    return "unguarded";
  case guard_state::let_go:
    return "let_go";
  }
  return "unknown";
}

} // namespace pci
