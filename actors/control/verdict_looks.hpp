// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "actors/control/verdict.hpp"

/// What can stand in a function's way, one look a thing: empty where it does not. For verdict.cpp, which has their
/// order; a look may rely on what those before it have ruled out.
namespace actors::control::verdicts {

using account = messages::function_account;
using found = std::optional<verdict>;

// verdict_host.cpp: the settings, the host, and the function's own state
[[nodiscard]] found absence(const account& what);
[[nodiscard]] found objection(const account& what);
[[nodiscard]] found translation(const account& what);
[[nodiscard]] found holding(const account& what);
[[nodiscard]] found condition(const account& what);

// verdict_handing_out.cpp: a function that is held, and nobody's
[[nodiscard]] found reservation(const account& what);
[[nodiscard]] found reserved_memory(const account& what);
[[nodiscard]] found pages(const account& what);
[[nodiscard]] found passthrough(const account& what);
[[nodiscard]] found assignment(const account& what);
[[nodiscard]] found freedom(const account& what);

// verdict_guest.cpp: a function that a guest has
[[nodiscard]] found ownership(const account& what);
[[nodiscard]] found life(const account& what);
[[nodiscard]] found connection(const account& what);
[[nodiscard]] found vectors(const account& what);
[[nodiscard]] found errors(const account& what);
[[nodiscard]] found line(const account& what);
/// Always has a word.
[[nodiscard]] found use(const account& what);

// verdict.cpp: words of these
/// A word that a shell takes for one.
[[nodiscard]] std::string quoted(const std::string& word);
[[nodiscard]] std::string name_of(const account& what);
[[nodiscard]] bool is_held(const account& what);
[[nodiscard]] bool is_in(const account& what, messages::function_state state);
/// The guest's: "web (3)".
[[nodiscard]] std::string words_of(const account& what);
/// Likewise as xl takes it.
[[nodiscard]] std::string xl_name(const account& what);
/// ": " and the detail of its state; empty: there is none.
[[nodiscard]] std::string detail_of(const account& what);
/// Likewise of the last thing that went wrong.
[[nodiscard]] std::string last_trouble(const account& what);

} // namespace actors::control::verdicts
