// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "platform/sim/device.hpp"

namespace cards {

/// A card to be played: a function as somebody's machine had it.
struct card {
  std::string name;
  platform::sim::device_model model;
  bool flr_kills = false; ///< it answers nothing after a function-level reset, until its bus is reset
  std::string refusal;    ///< a part of the message with which it must not be held; empty: it must be held
};

/// The files of a directory that describe a card, sorted: "*.txt".
[[nodiscard]] std::vector<std::filesystem::path> files_of(const std::filesystem::path& directory);

/// Reads a card: see platform::sim::load_lspci.
[[nodiscard]] pci::result<card> load(const std::filesystem::path& file);

} // namespace cards
