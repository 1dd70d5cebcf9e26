// SPDX-License-Identifier: GPL-2.0-or-later
// What travels between the two processes: there and back, and nothing else is taken for it.
#include <doctest/doctest.h>

#include "platform/remote/calls.hpp"
#include "platform/remote/dispatch.hpp"
#include "platform/remote/packets.hpp"

using namespace platform;
using namespace platform::remote;

namespace {

pci::function some_function() {
  pci::function what;
  what.address = pci::make_sbdf(1, 2, 3, 4);
  what.vendor = 0x8086;
  what.device = 0x10d3;
  what.class_code = 0x020000;
  what.resources[0] = {0xfebc0000, 0xfebdffff, pci::resource::memory};
  what.irq = 11;
  what.physical_function = pci::make_sbdf(1, 2, 0, 0);
  what.bridges = {pci::make_sbdf(0, 0, 1, 0), pci::make_sbdf(0, 0, 2, 0)};
  what.config.assign(256, std::byte{0x5a});
  return what;
}

/// Values that are none of the empty ones.
template <class T>
T sample() {
  if constexpr (std::is_same_v<T, std::string>)
    return std::string("a\0b", 3);
  else if constexpr (std::is_same_v<T, bool>)
    return true;
  else if constexpr (std::is_enum_v<T>)
    return last_of<T>;
  else if constexpr (std::is_integral_v<T>)
    return static_cast<T>(0x1234567890abcdefULL);
  else if constexpr (std::is_same_v<T, pci::function>)
    return some_function();
  else if constexpr (is_list<T>)
    return {sample<typename T::value_type>(), sample<typename T::value_type>()};
  else if constexpr (is_optional<T>)
    return T(sample<typename T::value_type>());
  else if constexpr (std::is_same_v<T, pci::reset_option>)
    return {pci::reset_method::bus, {pci::make_sbdf(0, 1, 0, 1)}};
  else if constexpr (std::is_same_v<T, pci::reserved_region>)
    return {1, 2, {pci::make_sbdf(0, 1, 0, 1)}};
  else if constexpr (std::is_same_v<T, pci::sbdf>)
    return pci::make_sbdf(0xffff, 0xfe, 0x1f, 7);
  else if constexpr (std::is_same_v<T, node_permission>)
    return {7, true, false};
  else if constexpr (std::is_same_v<T, power_settings>)
    return {true, std::nullopt, true};
  else
    return T{};
}

template <class... T>
std::tuple<T...> samples(std::type_identity<std::tuple<T...>> /*of*/) {
  return {sample<T>()...};
}

/// Every shorter text, and one that is longer, is refused.
template <class T>
void check_there_and_back(const T& value) {
  const auto text = encode(value);
  const auto back = decode<T>(text);
  REQUIRE(back);
  CHECK(encode(*back) == text);
  for (std::size_t size = 0; size < text.size(); ++size)
    CHECK_FALSE(decode<T>(std::string_view{text}.substr(0, size)));
  CHECK_FALSE(decode<T>(text + '\0'));
}

template <class Call>
void check_call() {
  CAPTURE(static_cast<int>(Call::name));
  check_there_and_back(samples(std::type_identity<typename Call::arguments>{}));
  if constexpr (!std::is_void_v<typename Call::answer>)
    check_there_and_back(sample<typename Call::answer>());
}

template <class... Call>
void check_calls(std::type_identity<std::tuple<Call...>> /*of*/) {
  (check_call<Call>(), ...);
}

} // namespace

TEST_CASE("two processes: every call and every answer is there and back, and nothing that is cut off or longer") {
  check_calls(std::type_identity<of::every>{});
  check_there_and_back(pci::failure{EBUSY, "somebody has it"});
}

TEST_CASE("two processes: values arrive as they were") {
  const auto function = some_function();
  const auto back = decode<pci::function>(encode(function));
  REQUIRE(back);
  CHECK(back->address == function.address);
  CHECK(back->resources == function.resources);
  CHECK(back->physical_function == function.physical_function);
  CHECK(back->bridges == function.bridges);
  CHECK(back->config == function.config);
  const domain_info info{.dying = true, .shutdown = false, .paused = true, .hvm = false};
  const auto same = decode<std::optional<domain_info>>(encode(std::optional(info)));
  REQUIRE((same && *same));
  CHECK((*same)->dying);
  CHECK_FALSE((*same)->shutdown);
  CHECK((*same)->paused);
}

TEST_CASE("two processes: a number that an enumeration does not have, and a truth that is neither, are refused") {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    CHECK(decode<bool>(text).has_value() == (byte <= 1));
    CHECK(decode<holder>(text).has_value() == (byte <= 1));
    CHECK(decode<pci::rdm_policy>(text).has_value() == (byte <= 1));
    CHECK(decode<pci::reset_method>(text).has_value() == (byte <= 7));
    CHECK(decode<call>(text).has_value() == (byte < calls));
  }
}

TEST_CASE("two processes: a count that the packet has not room for is refused, whatever it is") {
  for (const std::uint32_t count : {4U, 0x10000U, 0x7fffffffU, 0xffffffffU}) {
    auto text = encode(count) + "abc";
    CHECK_FALSE(decode<std::string>(text));
    CHECK_FALSE(decode<std::vector<std::byte>>(text));
    CHECK_FALSE(decode<std::vector<std::string>>(text));
    CHECK_FALSE(decode<std::vector<pci::sbdf>>(text));
  }
}

TEST_CASE("two processes: a request of no kind, of one that nobody carries out, or with other arguments is answered") {
  dispatch all;
  unsigned carried_out = 0;
  all.on<of::unmap_pirq>([&](std::uint16_t domain, std::uint16_t pirq) -> pci::result<void> {
    ++carried_out;
    CHECK(domain == 7);
    CHECK(pirq == 55);
    return pci::fail(ESRCH, "it is gone");
  });
  const auto error_of = [&](std::string_view request) {
    const auto answered = all.carry_out(request).packet;
    const auto why = decode<std::tuple<verdict, pci::failure>>(answered);
    REQUIRE(why);
    CHECK(std::get<0>(*why) == verdict::failed);
    return std::get<1>(*why).error;
  };
  const auto good = packet(call::unmap_pirq, std::uint16_t{7}, std::uint16_t{55});
  CHECK(error_of(good) == ESRCH);
  CHECK(carried_out == 1);
  CHECK(error_of("") == EPROTO);
  CHECK(error_of(std::string_view{good}.substr(0, good.size() - 1)) == EPROTO);
  CHECK(error_of(good + "x") == EPROTO);
  CHECK(error_of(packet(call::crash, std::uint16_t{7})) == EPROTO);
  CHECK(error_of(std::string(1, '\xff')) == EPROTO);
  CHECK(carried_out == 1);
}

TEST_CASE("two processes: packets and a descriptor go over the socket, and one that is too long goes nowhere") {
  auto ends = make_socket_pair();
  REQUIRE(ends);
  const packet_socket one{std::move(ends->first)};
  const packet_socket other{std::move(ends->second)};
  REQUIRE(one.send("first"));
  REQUIRE(one.send("second", one.get()));
  descriptor attached;
  CHECK(other.receive(&attached).value() == "first");
  CHECK_FALSE(attached);
  CHECK(other.receive(&attached).value() == "second");
  CHECK(attached);
  CHECK(one.send(std::string(largest_packet + 1, 'x')).error().error == EMSGSIZE);
  const std::string full(largest_packet, 'x');
  REQUIRE(one.send(full));
  CHECK(other.receive().value() == full);
  one.end();
  CHECK(other.receive().error().error == EPIPE);
  CHECK(other.send("late").error().error == EPIPE);
}
