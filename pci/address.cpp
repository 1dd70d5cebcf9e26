#include "pci/address.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace pci {
namespace {

constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

constexpr std::optional<std::uint32_t> digit(char c) {
  if (c >= '0' && c <= '9')
    return static_cast<std::uint32_t>(c - '0');
  const char lower = static_cast<char>(c | 0x20);
  if (lower >= 'a' && lower <= 'f')
    return static_cast<std::uint32_t>(lower - 'a' + 10);
  return std::nullopt;
}

/// The text as it may stand in a log line: bounded and printable, for some of it is written by guests.
std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string shown{text.substr(0, longest)};
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return fmt::format("\"{}\"{}", shown, text.size() > longest ? "..." : "");
}

/// Walks a text from left to right and remembers the first thing that was not as expected; after it, nothing moves.
class scanner {
public:
  explicit scanner(std::string_view text) : text_(text) {}

  void skip_space() {
    while (!failed() && at_ < text_.size() && is_space(text_[at_]))
      ++at_;
  }
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] bool failed() const { return !expected_.empty(); }
  [[nodiscard]] std::size_t position() const { return at_; }

  /// True when the text up to the end of this address has two colons, that is, names a segment.
  [[nodiscard]] bool names_segment() const {
    const auto rest = text_.substr(at_);
    const auto own = rest.substr(0, rest.find_first_of(".)"));
    return std::count(own.begin(), own.end(), ':') >= 2;
  }

  [[nodiscard]] bool take(char wanted) {
    if (failed() || at_end() || text_[at_] != wanted)
      return false;
    ++at_;
    return true;
  }
  void want(char wanted) {
    if (!take(wanted))
      expect(fmt::format("'{}'", wanted));
  }
  void want_end() {
    skip_space();
    if (!at_end())
      expect("nothing more");
  }

  /// One or more hexadecimal digits of a value from 0 to `limit`; 0 after a failure.
  std::uint32_t number(std::string_view what, std::uint32_t limit) {
    const std::size_t begin = at_;
    std::uint32_t value = 0;
    while (!failed() && at_ < text_.size() && digit(text_[at_]) && value <= limit)
      value = value << 4 | *digit(text_[at_++]); // no overflow: value <= limit <= ffff before the shift
    if (at_ > begin && value <= limit)
      return value;
    at_ = failed() ? at_ : begin;
    expect(fmt::format("{}, 0 to {:x}", what, limit));
    return 0;
  }

  void expect(std::string what) {
    if (!failed())
      expected_ = std::move(what);
  }
  [[nodiscard]] tl::unexpected<failure> refuse() const {
    return fail(EINVAL, fmt::format("{}: expected {} at column {}", quoted(text_), expected_, at_ + 1));
  }
  /// The same for a text of many parts: shows only what begins at `part`.
  [[nodiscard]] tl::unexpected<failure> refuse_from(std::size_t part) const {
    return fail(EINVAL,
                fmt::format("{}: expected {} at column {}", quoted(text_.substr(part)), expected_, at_ - part + 1));
  }

private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::string expected_;
};

/// Segment (when there is one), bus, and the colon before the slot.
sbdf_pattern scan_bus(scanner& in, bool with_segment) {
  sbdf_pattern found;
  if (with_segment) {
    found.segment = static_cast<std::uint16_t>(in.number("a segment", 0xffff));
    in.want(':');
  }
  found.bus = static_cast<std::uint8_t>(in.number("a bus", 0xff));
  in.want(':');
  return found;
}

sbdf_pattern scan_pattern(scanner& in) {
  sbdf_pattern found = scan_bus(in, in.names_segment());
  const bool any_slot = in.take('*');
  if (!any_slot)
    found.slot = static_cast<std::uint8_t>(in.number("a slot", 0x1f));
  in.want('.');
  if (any_slot) // pciback knows no "*.F": a wildcard slot is followed by a wildcard function
    in.want('*');
  else if (!in.take('*'))
    found.function = static_cast<std::uint8_t>(in.number("a function", 7));
  return found;
}

sbdf scan_address(scanner& in, bool with_segment) {
  const sbdf_pattern bus = scan_bus(in, with_segment);
  const auto slot = static_cast<std::uint8_t>(in.number("a slot", 0x1f));
  in.want('.');
  const auto function = static_cast<std::uint8_t>(in.number("a function", 7));
  return make_sbdf(bus.segment, bus.bus, slot, function);
}

} // namespace

std::string to_string(const sbdf& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", address.segment, address.bus, address.slot(), address.function());
}

std::string to_vdev_string(const sbdf& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:02x}", address.segment, address.bus, address.slot(), address.function());
}

std::string to_libxl_string(const sbdf& address) {
  return fmt::format("{:04x}-{:02x}-{:02x}-{:x}", address.segment, address.bus, address.slot(), address.function());
}

result<sbdf> parse_sbdf(std::string_view text) {
  scanner in{text};
  in.skip_space();
  const sbdf found = scan_address(in, in.names_segment());
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

result<sbdf> parse_node_sbdf(std::string_view text) {
  scanner in{text};
  in.skip_space();
  const sbdf found = scan_address(in, true);
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

bool sbdf_pattern::matches(const sbdf& address) const {
  return address.segment == segment && address.bus == bus && slot.value_or(address.slot()) == address.slot() &&
         function.value_or(address.function()) == address.function();
}

result<sbdf_pattern> parse_pattern(std::string_view text) {
  scanner in{text};
  in.skip_space();
  const sbdf_pattern found = scan_pattern(in);
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

result<std::vector<sbdf_pattern>> parse_hide_list(std::string_view text) {
  scanner in{text};
  std::vector<sbdf_pattern> all;
  for (in.skip_space(); !in.at_end(); in.skip_space()) {
    const std::size_t part = in.position();
    in.want('(');
    in.skip_space();
    const sbdf_pattern found = scan_pattern(in);
    in.skip_space();
    in.want(')');
    if (in.failed())
      return in.refuse_from(part);
    all.push_back(found);
  }
  return all;
}

} // namespace pci
