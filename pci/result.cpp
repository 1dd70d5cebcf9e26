// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/result.hpp"

#include <system_error>

#include <fmt/format.h>

namespace pci {

std::string to_string(const failure& what) {
  return fmt::format("{}: {} ({})", what.context, std::generic_category().message(what.error), what.error);
}

} // namespace pci
