// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "world.hpp"

namespace cards {

/// Every kind of guest, and the host's own topology.
[[nodiscard]] const std::vector<setting>& settings();

/// Plays a card once: dom0 gives it up, a guest gets it from xl, does everything to it and dies; the next gets it from
/// the daemon, may write everywhere, and dies; dom0 gets it back. `seed` decides the writes.
void play(const card& what, const setting& how, unsigned seed, complaints& wrong);

} // namespace cards
