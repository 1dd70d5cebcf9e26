// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "messages/types.hpp"
#include "platform/store.hpp"

namespace actors {

/// What the settings may call a guest.
struct guest_names {
  std::string name;
  std::string uuid; ///< as in its vm node; empty: it has none
};

/// As its home in xenstore has them. May block.
[[nodiscard]] guest_names names_of(platform::store_operations& store, messages::domain_id domain);

/// True when the guest's name, or its UUID in either case of letters, is `text`. Nobody is called "".
[[nodiscard]] bool is_called(const guest_names& who, std::string_view text);

} // namespace actors
