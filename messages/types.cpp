// SPDX-License-Identifier: GPL-2.0-or-later
#include "messages/types.hpp"

namespace messages {

std::string_view to_string(function_state state) {
  switch (state) {
  case function_state::holding:
    return "holding";
  case function_state::held:
    return "held";
  case function_state::granted:
    return "granted";
  case function_state::leased:
    return "leased";
  case function_state::inherited:
    return "inherited";
  case function_state::scrubbing:
    return "scrubbing";
  case function_state::failed:
    return "failed";
  case function_state::gone:
    return "gone";
  case function_state::refused:
    return "refused";
  }
  return "unknown";
}

std::string_view to_string(pci::interrupt_mode mode) {
  switch (mode) {
  case pci::interrupt_mode::intx:
    return "intx";
  case pci::interrupt_mode::msi:
    return "msi";
  case pci::interrupt_mode::msix:
    return "msix";
  }
  return "unknown";
}

} // namespace messages
