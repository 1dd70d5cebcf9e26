// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/spurious_watch.hpp"

#include <algorithm>
#include <array>

namespace pci {

std::string_view to_string(line_danger danger) {
  static constexpr std::array<std::string_view, 4> words{"none", "near", "very near", "given up"};
  const auto index = static_cast<std::size_t>(danger);
  return index < words.size() ? words.at(index) : "?";
}

namespace {

/// As many were claimed as save the line, or a pause restarted the count: this hundred thousand is harmless.
bool harmless(const line_counts& counts) {
  return counts.count - std::min(counts.count, counts.unhandled) >= spurious_watch::window - spurious_watch::tolerated;
}

} // namespace

line_danger spurious_watch::judge(const line_counts& counts) const {
  // Both counters are set to 0 at the verdict, and nothing is counted on a line that was given up.
  if (primed_ && danger_ != line_danger::none && counts == line_counts{}) {
    return line_danger::given_up;
  }
  if (harmless(counts)) {
    return line_danger::none;
  }
  if (counts.unhandled >= very_near) {
    return line_danger::very_near;
  }
  if (counts.unhandled >= near) {
    return line_danger::near;
  }
  // A new window says nothing yet.
  return danger_ == line_danger::given_up ? line_danger::none : danger_;
}

bool spurious_watch::sample(const line_counts& counts) {
  const auto before = danger_;
  danger_ = judge(counts);
  pressing_ = counts.unhandled >= many && !harmless(counts);
  counting_ = primed_ && counts.count != last_.count;
  if (primed_) {
    spurious_ += counts.unhandled >= last_.unhandled ? counts.unhandled - last_.unhandled : counts.unhandled;
  }
  last_ = counts;
  primed_ = true;
  return danger_ > before;
}

} // namespace pci
