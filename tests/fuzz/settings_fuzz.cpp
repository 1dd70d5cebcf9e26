// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/settings.hpp"
#include "config/simulation.hpp"

namespace {

// Of UTF-8 every byte is above these.
bool is_control(char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }

// Whatever the text, a failure is one line that begins with the file's name and that a terminal can show.
template <class T>
void check(const pci::result<T>& got) {
  if (!got && (got.error().context.rfind("f:", 0) != 0 || std::ranges::any_of(got.error().context, is_control))) {
    std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  check(config::parse(text, "f"));
  check(config::parse_simulation(text, "f"));
  return 0;
}
