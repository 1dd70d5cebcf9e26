#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "actors/control/request.hpp"

// Any line is a request or is refused in one line; an id that is repeated has no line end, which would break the
// framing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto got = actors::control::parse_request({reinterpret_cast<const char*>(data), size});
  const auto& id = got ? got->id : got.error().id;
  if (id && id->find('\n') != std::string::npos) {
    std::abort();
  }
  if (!got && (got.error().message.empty() || got.error().message.find('\n') != std::string::npos)) {
    std::abort();
  }
  return 0;
}
