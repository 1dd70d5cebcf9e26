// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/guard_messages.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace pci {
namespace {

using verb = guard_request::verb;
using news_kind = guard_news::kind;

constexpr int largest_errno = 4095; // the kernel's MAX_ERRNO

template <class T>
struct word {
  T what;
  std::string_view text;
  bool has_address;
};

constexpr std::array<word<verb>, 10> verbs{{{verb::arm, "arm", true},
                                            {verb::release, "release", true},
                                            {verb::look, "look", true},
                                            {verb::list, "list", false},
                                            {verb::watch, "watch", false},
                                            {verb::suspend, "suspend", false},
                                            {verb::resume, "resume", false},
                                            {verb::keep, "keep", true},
                                            {verb::take, "take", true},
                                            {verb::drop, "drop", true}}};
constexpr std::array<word<news_kind>, 10> kinds{{{news_kind::armed, "armed", true},
                                                 {news_kind::waits, "waits", true},
                                                 {news_kind::released, "released", true},
                                                 {news_kind::failed, "failed", true},
                                                 {news_kind::let_go, "let-go", true},
                                                 {news_kind::listed, "listed", false},
                                                 {news_kind::suspended, "suspended", false},
                                                 {news_kind::resumed, "resumed", false},
                                                 {news_kind::kept, "kept", true},
                                                 {news_kind::dropped, "dropped", true}}};

template <class T, std::size_t N>
const word<T>& word_of(const std::array<word<T>, N>& words, T what) {
  for (const auto& each : words)
    if (each.what == what)
      return each;
  return words.front();
}

/// Takes what stands before the next blank.
std::string_view take(std::string_view& text) {
  const auto one = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(text.size(), one.size() + 1));
  return one;
}

tl::unexpected<failure> malformed(std::string_view text) {
  return fail(EPROTO, fmt::format("a malformed packet of {} bytes about removal guards", text.size()));
}

/// Only as to_string writes it: a function has one name.
std::optional<sbdf> whole_address(std::string_view text) {
  const auto address = parse_sbdf(text);
  return address && to_string(*address) == text ? std::optional{*address} : std::nullopt;
}

std::optional<int> whole_error(std::string_view text) {
  int error = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), error);
  const auto good = wrong == std::errc{} && end == text.data() + text.size() && error > 0 && error <= largest_errno;
  return good ? std::optional{error} : std::nullopt;
}

/// The word and, where it has one, the address; the rest of the text is left.
template <class T, std::size_t N>
std::optional<std::pair<T, sbdf>> read(const std::array<word<T>, N>& words, std::string_view& text) {
  if (text.empty() || text.size() > guard_packet_size || text.back() == ' ')
    return std::nullopt;
  const auto first = take(text);
  for (const auto& each : words) {
    if (each.text != first)
      continue;
    const auto address = each.has_address ? whole_address(take(text)) : sbdf{};
    return address ? std::optional{std::pair{each.what, *address}} : std::nullopt;
  }
  return std::nullopt;
}

template <class T>
std::string write(const word<T>& what, const sbdf& address) {
  return what.has_address ? fmt::format("{} {}", what.text, to_string(address)) : std::string{what.text};
}

} // namespace

std::string to_text(const guard_request& what) { return write(word_of(verbs, what.what), what.address); }

std::string to_text(const guard_news& what) {
  auto text = write(word_of(kinds, what.what), what.address);
  return what.what == news_kind::failed ? fmt::format("{} {}", text, what.error) : text;
}

result<guard_request> parse_guard_request(std::string_view text) {
  auto rest = text;
  const auto found = read(verbs, rest);
  if (!found || !rest.empty())
    return malformed(text);
  return guard_request{found->first, found->second};
}

result<guard_news> parse_guard_news(std::string_view text) {
  auto rest = text;
  const auto found = read(kinds, rest);
  if (!found)
    return malformed(text);
  guard_news news{found->first, found->second, 0};
  if (news.what == news_kind::failed) {
    const auto error = whole_error(take(rest));
    if (!error)
      return malformed(text);
    news.error = *error;
  }
  return rest.empty() ? result<guard_news>{news} : malformed(text);
}

} // namespace pci
