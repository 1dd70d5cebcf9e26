// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever the worker sends is answered: it is carried out when it is a request from end to end, and refused otherwise.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/support/input.hpp"
#include "platform/remote/dispatch.hpp"
#include "platform/remote/holdings.hpp"
#include "platform/remote/node_rules.hpp"

namespace {

using fuzz::require;
using namespace platform::remote;

fuzz::account requests{"requests made from values"};

/// What is taken for a value is one: it is written as it was read.
template <class T>
void check(std::string_view bytes) {
  const auto value = decode<T>(bytes);
  require(!value || encode(*value) == bytes, "a value is written as it was read");
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

const dispatch& calls_of_host() {
  static const auto made = all_calls(static_cast<of::every*>(nullptr));
  return made;
}

verdict answer_to(std::string_view packet) {
  const auto answered = calls_of_host().carry_out(packet);
  require(!answered.packet.empty() && answered.packet.front() <= static_cast<char>(verdict::failed),
          "a request is answered");
  return static_cast<verdict>(answered.packet.front());
}

// -- requests that are whole, made of values

template <class T>
void draw(fuzz::input& in, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    value = in.line();
  } else if constexpr (std::is_same_v<T, std::vector<std::byte>>) {
    value.assign(in.byte(), std::byte{in.byte()});
  } else if constexpr (std::is_same_v<T, bool>) {
    value = in.flag();
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(in.below(static_cast<unsigned>(last_of<T>) + 1));
  } else if constexpr (std::is_integral_v<T>) {
    value = in.take<T>();
  } else if constexpr (is_list<T>) {
    value.resize(in.below(4));
    for (auto& each : value)
      draw(in, each);
  } else if constexpr (is_array<T>) {
    for (auto& each : value)
      draw(in, each);
  } else if constexpr (is_optional<T>) {
    value.reset();
    if (in.flag())
      draw(in, value.emplace());
  } else if constexpr (is_tuple<T>) {
    std::apply([&](auto&... each) { (draw(in, each), ...); }, value);
  } else {
    std::apply([&](auto&... each) { (draw(in, each), ...); }, tied(value));
  }
}

/// Carried out when it is whole; neither with an end that is missing, nor with one too many.
template <class Call>
void make_request(fuzz::input& in) {
  typename Call::arguments arguments{};
  draw(in, arguments);
  const auto whole = packet(Call::name) + encode(arguments);
  require(answer_to(whole) == verdict::done, "a whole request is carried out");
  const auto received = decode<typename Call::arguments>(encode(arguments));
  require(received && encode(*received) == encode(arguments), "arguments come as they were sent");
  require(answer_to(std::string_view(whole).substr(0, in.take<std::uint16_t>() % whole.size())) == verdict::failed,
          "a torn request is refused");
  require(answer_to(whole + '\0') == verdict::failed, "a request with something behind it is refused");
  requests.add();
}

template <class... Call>
void make_one(unsigned which, fuzz::input& in, std::tuple<Call...>* /*all*/) {
  constexpr std::array<void (*)(fuzz::input&), sizeof...(Call)> makers{make_request<Call>...};
  makers.at(which % makers.size())(in);
}

// -- nodes

bool begins_with_any(std::string_view path, std::initializer_list<std::string_view> with) {
  return std::ranges::any_of(with, [&](std::string_view each) { return path.starts_with(each); });
}

void check_path(std::string_view path) {
  const auto kind = kind_of_node(path);
  require(!kind.writable || kind.readable, "what may be written may be read");
  if (kind.readable)
    require(path.front() == '/' && path.find("//") == std::string_view::npos && path.back() != '/' &&
                path.find('\0') == std::string_view::npos && path.size() <= 3072,
            "a node that may be read has a path");
  if (kind.writable)
    require(begins_with_any(path, {"/local/domain/0/backend/pci/", "/local/domain/0/error/backend/pci/",
                                   "/local/domain/0/pcibackd", "/libxl/pci/"}) ||
                path.find("/device/pci/0") != std::string_view::npos,
            "what may be written is a PCI device's");
  require(kind.domain != 0, "domain 0 is no guest");
  const std::array<platform::node_permission, 2> both{{{0, false, false}, {kind.domain.value_or(5), true, false}}};
  require(may_permit(path, both) == (kind.writable && kind.domain), "rights go to dom0 and the guest");
  const std::array<platform::node_permission, 1> other{
      {{static_cast<std::uint16_t>(kind.domain.value_or(5) + 1), true, true}}};
  require(!may_permit(path, other), "and to nobody else");
  require(!is_record_name(path) || path.find('/') == std::string_view::npos, "a record's name is no path");
  require(!kind.readable || may_watch(path), "what may be read may be watched");
}

/// Of the words that paths are made of, and others.
std::string draw_path(fuzz::input& in) {
  constexpr std::array<std::string_view, 24> words{
      "local", "domain", "0",     "backend", "pci",    "error", "device", "pcibackd",
      "libxl", "7",      "32751", "32752",   "state",  "dev-0", "domid",  "driver_path",
      "",      ".",      "name",  "vm",      "target", "type",  "tool",   "0000-03-00-0"};
  std::string path;
  for (unsigned left = in.below(10); left > 0; --left) {
    const auto which = in.below(static_cast<unsigned>(words.size()) + 1);
    path += '/';
    path += which < words.size() ? std::string(words.at(which)) : std::string(in.line());
  }
  return path;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  static_cast<void>(answer_to(bytes));
  check_calls(bytes, static_cast<of::every*>(nullptr));
  check<pci::failure>(bytes);
  check<pci::function>(bytes);
  if (!bytes.empty())
    check_path(bytes);
  static_cast<void>(takes_up("guests", std::string(bytes)));
  static_cast<void>(takes_up("0000:03:00.0", std::string(bytes)));

  fuzz::input in{{data, size}};
  make_one(in.byte(), in, static_cast<of::every*>(nullptr));
  check_path(draw_path(in));
  return 0;
}
