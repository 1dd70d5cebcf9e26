#include "pci/frames.hpp"

#include <algorithm>

#include "pci/config_space/base_registers.hpp"

namespace pci {
namespace {

constexpr unsigned frame_shift = 12;
constexpr std::uint64_t frame_size = 1U << frame_shift;

bool is_shown_memory(const resource& what) { return usable(what) && !what.is_io(); }

} // namespace

std::vector<std::uint64_t> partial_frames(const std::array<resource, 7>& resources) {
  std::vector<std::uint64_t> frames;
  for (const auto& each : resources) {
    if (!is_shown_memory(each)) {
      continue;
    }
    if (each.start % frame_size != 0) {
      frames.push_back(each.start >> frame_shift);
    }
    if (each.end % frame_size != frame_size - 1) {
      frames.push_back(each.end >> frame_shift);
    }
  }
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  return frames;
}

std::optional<std::uint64_t> frame_of(const std::array<resource, 7>& resources,
                                      const std::vector<std::uint64_t>& frames) {
  for (const auto frame : frames) {
    const auto has = [frame](const resource& each) {
      return is_shown_memory(each) && each.start >> frame_shift <= frame && frame <= each.end >> frame_shift;
    };
    if (std::any_of(resources.begin(), resources.end(), has)) {
      return frame;
    }
  }
  return std::nullopt;
}

} // namespace pci
