// SPDX-License-Identifier: GPL-2.0-or-later
#include "card.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <span>
#include <sstream>

#include "pci/config_space/registers.hpp"
#include "platform/sim/hypervisor.hpp"

namespace cards {
namespace {

unsigned byte_of(const platform::sim::device_model& model, std::size_t offset) {
  return std::to_integer<unsigned>(model.config.at(offset));
}

/// Ports have 16 bits here. A machine of another architecture has them elsewhere.
void move_ports(platform::sim::device_model& model) {
  constexpr std::uint64_t all_ports = 0xffff;
  for (std::size_t i = 0; i < pci::function::rom; ++i) {
    auto& ports = model.resources.at(i);
    if (ports.is_io() && ports.end > all_ports) {
      const auto size = ports.size();
      ports.start &= all_ports;
      ports.end = ports.start + size - 1;
      model.config.at(pci::reg::bar0 + 4 * i + 2) = model.config.at(pci::reg::bar0 + 4 * i + 3) = std::byte{0};
    }
  }
}

/// What nobody can hold, from the bytes alone.
std::string refusal_of(const platform::sim::device_model& model) {
  const auto header = std::span{model.config}.first(pci::reg::first_capability);
  if (std::all_of(header.begin(), header.end(), [](std::byte each) { return each == std::byte{0xff}; })) {
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
  std::ifstream in(file);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    return pci::fail(EIO, file.string() + " cannot be read");
  }
  auto model = platform::sim::parse_dump(text.str());
  if (!model) {
    return tl::unexpected(model.error());
  }
  constexpr unsigned first_line = 16, lines = platform::sim::hypervisor::gsis - first_line, not_connected = 255;
  const bool says_line = text.str().find("\nirq:") != std::string::npos;
  if (!says_line && model->irq != 0 && model->irq != not_connected) {
    model->irq = first_line + model->irq % lines;
  }
  card made{file.stem().string(), std::move(*model), text.str().find("\n# flr kills") != std::string::npos, {}};
  made.refusal = refusal_of(made.model);
  if (made.refusal.empty()) {
    move_ports(made.model);
  }
  return made;
}

} // namespace cards
