// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "actors/control/request.hpp"

namespace {

// Of UTF-8 every byte is above these.
bool is_control(char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }

} // namespace

// Any line is a request or is refused in one line that a terminal can show; an id that is repeated has no line end,
// which would break the framing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto got = actors::control::parse_request({reinterpret_cast<const char*>(data), size});
  const auto& id = got ? got->id : got.error().id;
  if (id && id->find('\n') != std::string::npos) {
    std::abort();
  }
  if (!got && (got.error().message.empty() || std::ranges::any_of(got.error().message, is_control))) {
    std::abort();
  }
  return 0;
}
