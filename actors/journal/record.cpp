// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/journal/record.hpp"

#include <array>
#include <cerrno>
#include <limits>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "actors/domain_ids.hpp"
#include "pci/address.hpp"

namespace actors {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t longest_text = 0x10000;
constexpr std::size_t most_vectors = 2048; // of an MSI-X table
constexpr std::size_t longest_name = 64;
constexpr std::uint64_t largest_class = 0xffffff;
constexpr std::uint64_t any_64 = std::numeric_limits<std::uint64_t>::max();

constexpr std::array<std::string_view, 2> holders{"stub", "uio"};
constexpr std::array<std::string_view, 3> modes{"intx", "msi", "msix"};

// A daemon that starts reads and writes thousands of bytes of each function while its guest waits: no library's
// conversion of one number at a time.
constexpr std::string_view digits = "0123456789abcdef";
constexpr auto value_of = [] {
  std::array<std::int8_t, 256> all{};
  all.fill(-1);
  for (std::size_t value = 0; value < digits.size(); ++value) {
    all.at(static_cast<std::uint8_t>(digits[value])) = static_cast<std::int8_t>(value);
    all.at(static_cast<std::uint8_t>("0123456789ABCDEF"[value])) = static_cast<std::int8_t>(value);
  }
  return all;
}();

std::string hex(const std::vector<std::byte>& bytes) {
  std::string text(2 * bytes.size(), '0');
  auto at = text.begin();
  for (const auto byte : bytes) {
    *at++ = digits[std::to_integer<std::size_t>(byte >> 4)];
    *at++ = digits[std::to_integer<std::size_t>(byte & std::byte{0xf})];
  }
  return text;
}

json json_of(const pci::function& what) {
  auto resources = json::array();
  for (const auto& each : what.resources) {
    resources.push_back({each.start, each.end, each.flags});
  }
  return {{"address", pci::to_string(what.address)},
          {"vendor", what.vendor},
          {"device", what.device},
          {"class", what.class_code},
          {"irq", what.irq},
          {"physical_function", what.physical_function ? json(pci::to_string(*what.physical_function)) : json()},
          {"resources", std::move(resources)}};
}

json json_of(const std::optional<bool>& what) { return what ? json(*what) : json(); }

json json_of(const std::optional<platform::power_settings>& what) {
  return what ? json{{"suspends", json_of(what->suspends)},
                     {"loses_power", json_of(what->loses_power)},
                     {"enabled_here", what->enabled_here}}
              : json();
}

json json_of(const std::vector<pci::bound_vector>& vectors) {
  auto all = json::array();
  for (const auto& each : vectors) {
    all.push_back({each.entry, each.pirq});
  }
  return all;
}

/// The members of one object; the first that is wrong is remembered, and all later ones read as nothing.
class members {
public:
  explicit members(const json& from) : from_(from) {
    if (!from.is_object()) {
      complain("no object");
    }
  }

  [[nodiscard]] std::uint64_t number(const char* name, std::uint64_t largest) {
    return number(find(name), name, largest);
  }
  [[nodiscard]] bool flag(const char* name) {
    const auto* is = find(name);
    if (is == nullptr || !is->is_boolean()) {
      complain(name);
      return false;
    }
    return is->get<bool>();
  }
  [[nodiscard]] std::string text(const char* name, std::size_t longest) {
    const auto* is = find(name);
    if (is == nullptr || !is->is_string() || is->get_ptr<const std::string*>()->size() > longest) {
      complain(name);
      return {};
    }
    return *is->get_ptr<const std::string*>();
  }
  template <class Enum, std::size_t Size>
  [[nodiscard]] Enum word(const char* name, const std::array<std::string_view, Size>& words) {
    const auto is = text(name, longest_name);
    for (std::size_t index = 0; index < Size; ++index) {
      if (is == words[index]) {
        return static_cast<Enum>(index);
      }
    }
    complain(name);
    return {};
  }
  [[nodiscard]] pci::sbdf address(const char* name) {
    const auto address = pci::parse_node_sbdf(text(name, longest_name));
    if (!address) {
      complain(name);
    }
    return address.value_or(pci::sbdf{});
  }
  [[nodiscard]] bool has(const char* name) const { return from_.is_object() && from_.contains(name); }
  [[nodiscard]] bool is_null(const char* name) {
    const auto* is = find(name);
    return is != nullptr && is->is_null();
  }
  [[nodiscard]] const json* object(const char* name) { return find(name); }
  [[nodiscard]] std::vector<messages::domain_id> domains(const char* name, std::size_t most) {
    std::vector<messages::domain_id> all;
    const auto* is = find(name);
    if (is == nullptr || !is->is_array() || is->size() > most) {
      complain(name);
      return all;
    }
    for (const auto& each : *is) {
      all.push_back(static_cast<messages::domain_id>(number(&each, name, largest_domain)));
    }
    return all;
  }
  /// A list of lists of `width` numbers each, the n-th at most `largest[n]`.
  template <std::size_t Width>
  [[nodiscard]] std::vector<std::array<std::uint64_t, Width>> rows(const char* name, std::size_t most,
                                                                   const std::array<std::uint64_t, Width>& largest) {
    std::vector<std::array<std::uint64_t, Width>> all;
    const auto* is = find(name);
    if (is == nullptr || !is->is_array() || is->size() > most) {
      complain(name);
      return all;
    }
    for (const auto& row : *is) {
      if (!row.is_array() || row.size() != Width) {
        complain(name);
        return all;
      }
      auto& into = all.emplace_back();
      for (std::size_t column = 0; column < Width; ++column) {
        into[column] = number(&row[column], name, largest[column]);
      }
    }
    return all;
  }
  [[nodiscard]] std::optional<bool> flag_or_null(const char* name) {
    return is_null(name) ? std::nullopt : std::optional(flag(name));
  }

  void complain(const char* name) {
    if (wrong_.empty()) {
      wrong_ = name;
    }
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

private:
  [[nodiscard]] const json* find(const char* name) {
    const auto found = from_.is_object() ? from_.find(name) : from_.end();
    if (found == from_.end()) {
      complain(name);
      return nullptr;
    }
    return &*found;
  }
  [[nodiscard]] std::uint64_t number(const json* is, const char* name, std::uint64_t largest) {
    if (is == nullptr || !is->is_number_unsigned() || is->get<std::uint64_t>() > largest) {
      complain(name);
      return 0;
    }
    return is->get<std::uint64_t>();
  }

  const json& from_;
  std::string wrong_;
};

// A record's many bytes are the copy of the configuration space, which a parser of JSON reads a digit at a time, and a
// daemon that starts reads all records before it serves anybody. So it is taken out before, and put in after.
constexpr std::string_view config_key = R"("config":")";

struct divided_text {
  std::string rest;                         ///< the text with an empty copy
  std::optional<std::string_view> config{}; ///< its digits; empty: there is none of this form
};

// In the text of a string the key's quotes would have backslashes, and what is taken from elsewhere than from the
// function is missing there.
divided_text divide(std::string_view text) {
  const auto key = text.find(config_key);
  const auto begin = key == std::string_view::npos ? key : key + config_key.size();
  const auto end = begin == std::string_view::npos ? begin : text.find('"', begin);
  if (end == std::string_view::npos) {
    return {std::string(text)};
  }
  return {std::string(text.substr(0, begin)).append(text.substr(end)), text.substr(begin, end - begin)};
}

/// Empty: not two hexadecimal digits each, or no size that a configuration space has.
std::vector<std::byte> bytes_of(std::string_view text) {
  if (text.size() != 2 * 256 && text.size() != 2 * 4096) {
    return {};
  }
  std::vector<std::byte> all(text.size() / 2);
  for (std::size_t at = 0; at < all.size(); ++at) {
    const int high = value_of[static_cast<std::uint8_t>(text[2 * at])];
    const int low = value_of[static_cast<std::uint8_t>(text[2 * at + 1])];
    if (high < 0 || low < 0) {
      return {};
    }
    all[at] = static_cast<std::byte>(high << 4 | low);
  }
  return all;
}

pci::function function_of(members& from, const std::optional<std::string_view>& config) {
  pci::function what;
  what.address = from.address("address");
  what.vendor = static_cast<std::uint16_t>(from.number("vendor", 0xffff));
  what.device = static_cast<std::uint16_t>(from.number("device", 0xffff));
  what.class_code = static_cast<std::uint32_t>(from.number("class", largest_class));
  what.irq = static_cast<unsigned>(from.number("irq", std::numeric_limits<unsigned>::max()));
  if (!from.is_null("physical_function")) {
    what.physical_function = from.address("physical_function");
  }
  const auto resources = from.rows<3>("resources", what.resources.size(), {any_64, any_64, any_64});
  if (resources.size() != what.resources.size()) {
    from.complain("resources");
    return what;
  }
  for (std::size_t index = 0; index < resources.size(); ++index) {
    what.resources[index] = {resources[index][0], resources[index][1], resources[index][2]};
  }
  what.config = bytes_of(from.text("config", 0).empty() && config ? *config : std::string_view{});
  if (what.config.empty()) {
    from.complain("config");
  }
  return what;
}

void read_guest(members& from, function_record& into) {
  into.holder = from.word<platform::holder>("holder", holders);
  into.previous_driver = from.text("previous_driver", longest_name);
  if (!from.is_null("domain")) {
    into.domain = static_cast<messages::domain_id>(from.number("domain", largest_domain));
  }
  if (from.has("target") && !from.is_null("target")) { // an earlier instance did not know of it
    into.target = static_cast<messages::domain_id>(from.number("target", largest_domain));
  }
  if (from.has("power") && !from.is_null("power")) { // likewise
    members inside(*from.object("power"));
    into.power = platform::power_settings{inside.flag_or_null("suspends"), inside.flag_or_null("loses_power"),
                                          inside.flag("enabled_here")};
    if (!inside.wrong().empty()) {
      from.complain("power");
    }
  }
  into.granted = from.flag("granted");
  into.permissive = from.flag("permissive");
  into.acknowledging = from.flag("acknowledging");
  into.mode = from.word<pci::interrupt_mode>("mode", modes);
  for (const auto& row : from.rows<2>("vectors", most_vectors, {0xffff, 0xffff})) {
    into.vectors.push_back({static_cast<std::uint16_t>(row[0]), static_cast<std::uint16_t>(row[1])});
  }
  into.command = static_cast<std::uint16_t>(from.number("command", 0xffff));
  into.decoding = from.flag("decoding");
  // A daemon of before this was written left records that are as good.
  into.written = from.has("written") ? from.number("written", any_64) : 0;
  if (from.has("past_guests")) { // not in records of the first instances
    into.past_guests = from.domains("past_guests", largest_domain);
  }
}

} // namespace

bool operator==(const function_record& a, const function_record& b) {
  const auto parts = [](const function_record& of) {
    return std::tie(of.function.address, of.function.vendor, of.function.device, of.function.class_code,
                    of.function.resources, of.function.irq, of.function.physical_function, of.function.config,
                    of.holder, of.previous_driver, of.power, of.domain, of.target, of.granted, of.permissive,
                    of.acknowledging, of.mode, of.vectors, of.command, of.decoding, of.past_guests);
  };
  return parts(a) == parts(b);
}

std::string to_text(const function_record& what) {
  const json all{{"version", function_record::version},
                 {"holder", holders.at(static_cast<std::size_t>(what.holder))},
                 {"previous_driver", what.previous_driver},
                 {"domain", what.domain ? json(*what.domain) : json()},
                 {"target", what.target ? json(*what.target) : json()},
                 {"granted", what.granted},
                 {"permissive", what.permissive},
                 {"acknowledging", what.acknowledging},
                 {"mode", modes.at(static_cast<std::size_t>(what.mode))},
                 {"vectors", json_of(what.vectors)},
                 {"command", what.command},
                 {"decoding", what.decoding},
                 {"written", what.written},
                 {"past_guests", what.past_guests},
                 {"power", json_of(what.power)},
                 {"function", json_of(what.function)}};
  auto text = all.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize(text.size() - 2); // of the function's object and of all
  return text.append(",").append(config_key).append(hex(what.function.config)).append("\"}}\n");
}

pci::result<function_record> parse_record(std::string_view text) {
  if (text.size() > longest_text) {
    return pci::fail(EPROTO, "longer than any record");
  }
  const auto divided = divide(text);
  const auto document = json::parse(divided.rest, nullptr, false);
  if (document.is_discarded()) {
    return pci::fail(EPROTO, "not JSON, or cut off");
  }
  members all(document);
  if (const auto version = all.number("version", any_64); all.wrong().empty() && version != function_record::version) {
    return pci::fail(EPROTO, fmt::format("version {}, where this daemon knows {}", version, function_record::version));
  }
  function_record record;
  read_guest(all, record);
  const auto* function = all.object("function");
  if (!all.wrong().empty() || function == nullptr) {
    return pci::fail(EPROTO, fmt::format("\"{}\" is missing or wrong", all.wrong()));
  }
  members inside(*function);
  record.function = function_of(inside, divided.config);
  if (!inside.wrong().empty()) {
    return pci::fail(EPROTO, fmt::format("\"function.{}\" is missing or wrong", inside.wrong()));
  }
  return record;
}

} // namespace actors
