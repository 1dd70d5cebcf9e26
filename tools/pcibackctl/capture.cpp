// SPDX-License-Identifier: GPL-2.0-or-later
// A trace as Wireshark reads it.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "pci/address.hpp"
#include "tools/pcibackctl/trace_view.hpp"

namespace client_program {
namespace {

// pcapng, sections 4.1, 4.2, 4.3 and 4.6.
constexpr std::uint32_t section_block = 0x0a0d0d0a, interface_block = 1, statistics_block = 5, packet_block = 6;
constexpr std::uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr std::uint16_t link_type_user0 = 147;
constexpr std::uint16_t option_end = 0, option_application = 4, option_interface_name = 2, option_resolution = 9;
constexpr std::uint16_t option_drops = 5;
constexpr std::uint8_t record_version = 1;

/// Numbers in little-endian order.
class bytes {
public:
  bytes& number(std::uint64_t value, unsigned size) {
    for (unsigned each = 0; each < size; ++each) {
      text_ += static_cast<char>(value >> (8 * each) & 0xffU);
    }
    return *this;
  }
  bytes& text(std::string_view what) {
    text_ += what;
    return *this;
  }
  /// As long as a byte can say.
  bytes& counted(std::string_view what) {
    what = what.substr(0, 0xff);
    return number(what.size(), 1).text(what);
  }
  bytes& padded() {
    text_.resize((text_.size() + 3) / 4 * 4, '\0');
    return *this;
  }
  bytes& option(std::uint16_t code, std::string_view value) {
    return number(code, 2).number(value.size(), 2).text(value).padded();
  }
  [[nodiscard]] const std::string& all() const { return text_; }

private:
  std::string text_;
};

std::string block(std::uint32_t type, const std::string& body) {
  const auto length = body.size() + 12;
  return bytes{}.number(type, 4).number(length, 4).text(body).number(length, 4).all();
}

std::uint64_t number_in(const json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_number_integer() ? static_cast<std::uint64_t>(found->get<std::int64_t>()) : 0;
}

std::uint32_t hexadecimal_in(const json& from, const char* name) {
  return static_cast<std::uint32_t>(std::strtoul(text_in(from, name).c_str(), nullptr, 16));
}

/// "2026-11-26T13:22:13.123456789Z" as nanoseconds since 1970.
std::optional<std::uint64_t> moment_in(const json& from) {
  std::tm parts{};
  unsigned long nanoseconds = 0;
  const auto text = text_in(from, "time");
  if (text.size() != 30 ||
      std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%9luZ", &parts.tm_year, &parts.tm_mon, // NOLINT(cert-err34-c)
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &nanoseconds) != 7) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return static_cast<std::uint64_t>(::timegm(&parts)) * 1'000'000'000U + nanoseconds;
}

std::int32_t error_of(const json& operation) {
  static constexpr std::array<std::string_view, 6> names{"success",       "dev_not_found",   "invalid_offset",
                                                         "access_denied", "not_implemented", "op_failed"};
  const auto text = text_in(operation, "error");
  for (std::size_t index = 0; index < names.size(); ++index) {
    if (names.at(index) == text) {
      return -static_cast<std::int32_t>(index);
    }
  }
  return -5;
}

std::string record_of(const json& operation) {
  const auto host = pci::parse_sbdf(text_in(operation, "function"));
  const auto address = host.value_or(pci::sbdf{});
  bytes record;
  record.number(record_version, 1).number(host ? 1 : 0, 1).number(number_in(operation, "domain"), 2);
  record.number(number_in(operation, "code"), 4).number(static_cast<std::uint32_t>(error_of(operation)), 4);
  record.number(number_in(operation, "offset"), 4).number(number_in(operation, "size"), 4);
  record.number(hexadecimal_in(operation, "value"), 4).number(number_in(operation, "vectors"), 2);
  record.number(address.segment, 2).number(address.bus, 1).number(address.devfn, 1).number(0, 2);
  record.number(number_in(operation, "took_ns"), 8);
  return record.counted(text_in(operation, "virtual_address"))
      .counted(text_in(operation, "guest"))
      .counted(text_in(operation, "register"))
      .all();
}

} // namespace

std::string capture_header(std::string_view program) {
  return block(section_block, bytes{}
                                  .number(byte_order_magic, 4)
                                  .number(1, 2)
                                  .number(0, 2)
                                  .number(~std::uint64_t{0}, 8)
                                  .option(option_application, program)
                                  .option(option_end, "")
                                  .all()) +
         block(interface_block, bytes{}
                                    .number(link_type_user0, 2)
                                    .number(0, 2)
                                    .number(0, 4)
                                    .option(option_interface_name, "pcibackd")
                                    .option(option_resolution, "\x09")
                                    .option(option_end, "")
                                    .all());
}

pci::result<std::string> capture_packet(const json& operation) {
  const auto moment = operation.is_object() ? moment_in(operation) : std::nullopt;
  if (!moment) {
    return pci::fail(EPROTO, "the daemon told of an operation in a form that this program does not know");
  }
  const auto record = record_of(operation);
  return block(packet_block, bytes{}
                                 .number(0, 4)
                                 .number(*moment >> 32U, 4)
                                 .number(*moment & 0xffffffffU, 4)
                                 .number(record.size(), 4)
                                 .number(record.size(), 4)
                                 .text(record)
                                 .padded()
                                 .all());
}

std::string capture_loss(std::uint64_t lost) {
  return block(statistics_block, bytes{}
                                     .number(0, 4)
                                     .number(0, 8)
                                     .option(option_drops, bytes{}.number(lost, 8).all())
                                     .option(option_end, "")
                                     .all());
}

} // namespace client_program
