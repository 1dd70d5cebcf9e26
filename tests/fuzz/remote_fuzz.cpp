// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "platform/remote/dispatch.hpp"
#include "platform/remote/node_rules.hpp"

namespace {

using namespace platform::remote;

/// What is taken for a value is one: it is written as it was read.
template <class T>
void check(std::string_view bytes) {
  if (const auto value = decode<T>(bytes); value && encode(*value) != bytes) {
    std::abort();
  }
}

template <class... Call>
void check_calls(std::string_view bytes, std::tuple<Call...>* /*all*/) {
  (check<typename Call::arguments>(bytes), ...);
}

/// All calls, of which each says that it was asked for well.
template <class... Call>
dispatch all_calls(std::tuple<Call...>* /*all*/) {
  dispatch made;
  (made.on<Call>([](const auto&...) -> pci::result<void> { return {}; }), ...);
  return made;
}

} // namespace

// Whatever the worker sends is answered: it is carried out when it is a request from end to end, and refused otherwise.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto calls = all_calls(static_cast<of::every*>(nullptr));
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto answered = calls.carry_out(bytes);
  if (answered.packet.empty() || answered.packet.front() > static_cast<char>(verdict::failed)) {
    std::abort();
  }
  check_calls(bytes, static_cast<of::every*>(nullptr));
  check<pci::failure>(bytes);
  check<pci::function>(bytes);
  const auto kind = kind_of_node(bytes);
  if (kind.writable && !kind.readable) {
    std::abort();
  }
  static_cast<void>(is_record_name(bytes));
  return 0;
}
