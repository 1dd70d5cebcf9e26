// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/root/assignments.hpp"
#include "actors/runtime.hpp"
#include "messages/explanation.hpp"
#include "platform/pci_host.hpp"

/// What the settings want and the host, or a guest, does not have.
namespace actors::control {

/// A function as dom0's kernel shows it.
struct seen_function {
  bool wanted = false; ///< it is to be held at the start, or when it appears
  bool there = false;
  std::string driver; ///< empty: none
};
using seen_functions = std::map<pci::sbdf, seen_function>;

/// The functions that are to be held or assigned, and `others`. May block.
[[nodiscard]] seen_functions look_at_functions(platform::host& host, const settings& what,
                                               const std::vector<pci::sbdf>& others);

/// The last thing that went wrong with a function; empty: nothing did.
using last_trouble = std::function<std::string(const pci::sbdf&)>;

/// What is not as the settings want it, by address. `all`: what root knows. `guests`: those that xenstore knows; empty
/// when it did not answer: then nothing is said of assignments.
[[nodiscard]] std::vector<messages::unmet_wish> unmet_wishes(const settings& what, const messages::overview& all,
                                                             const seen_functions& seen,
                                                             const std::optional<std::vector<guest>>& guests,
                                                             const last_trouble& trouble);

/// Whom the settings assign the function to: the first. Empty: nobody.
[[nodiscard]] std::optional<messages::assignment_account>
assignment_of(const settings& what, const std::vector<guest>& guests, const pci::sbdf& address);

/// The name of an [[assign]] that no guest has and that is nearly `name`, which no [[assign]] has; empty: there is
/// none.
[[nodiscard]] std::string misspelt_assignment(const settings& what, const std::vector<guest>& guests,
                                              const guest_names& who);

} // namespace actors::control
