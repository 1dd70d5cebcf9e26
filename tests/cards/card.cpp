// SPDX-License-Identifier: GPL-2.0-or-later
#include "card.hpp"

#include <algorithm>
#include <cerrno>
#include <span>

#include "pci/config_space/registers.hpp"
#include "platform/sim/lspci.hpp"

namespace cards {
namespace {

unsigned byte_of(const platform::sim::device_model& model, std::size_t offset) {
  return std::to_integer<unsigned>(model.config.at(offset));
}

/// What nobody can hold, from the bytes alone.
std::string refusal_of(const platform::sim::device_model& model) {
  const auto start = std::span{model.config}.first(pci::reg::bar0); // the BARs are moved to where the machine has room
  if (std::all_of(start.begin(), start.end(), [](std::byte each) { return each == std::byte{0xff}; })) {
    return "silent (powered off?)";
  }
  const auto layout = byte_of(model, pci::reg::header_type) & pci::reg::header_layout;
  return layout > 1 ? "its header is of type " + std::to_string(layout) : std::string{};
}

} // namespace

std::vector<std::filesystem::path> files_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.is_regular_file() && entry.path().extension() == ".txt") {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

pci::result<card> load(const std::filesystem::path& file) {
  auto found = platform::sim::load_lspci(file);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (found->size() != 1) {
    return pci::fail(EINVAL, file.string() + " has more than one function");
  }
  auto& only = found->front();
  card made{file.stem().string(), std::move(only.model), only.flr_kills, {}};
  made.refusal = refusal_of(made.model);
  return made;
}

} // namespace cards
