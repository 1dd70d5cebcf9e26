// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"

namespace client_program {

/// The result of `actors` for people: each actor below the one that started it, then the threads. With `lines` the tree
/// is drawn, else it is indented. EPROTO: it is no such result.
[[nodiscard]] pci::result<std::string> actors_tree(const std::string& result, bool lines);

} // namespace client_program
