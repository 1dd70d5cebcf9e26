// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/request.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "actors/domain_ids.hpp"

namespace actors::control {
namespace {

// Not ordered_json, whose look-ups are linear: 64 KiB hold many keys.
using json = nlohmann::json;
template <class T>
using parsed = tl::expected<T, refusal>;

// xl takes a domain's name from a line of this size.
constexpr std::size_t longest_domain_name = 255;

tl::unexpected<refusal> refuse(const request_id& id, error_code code, std::string message) {
  return tl::unexpected<refusal>(refusal{id, code, std::move(message)});
}

/// The parameters of one request, read by name; the first that is wrong is remembered.
class parameters {
public:
  parameters(const json& request, request_id id) : id_(std::move(id)) {
    const auto given = request.find("params");
    if (given == request.end()) {
      return;
    }
    if (given->is_object()) {
      values_ = &*given;
    } else {
      complain("\"params\" is not an object; give the parameters by name");
    }
  }

  [[nodiscard]] pci::sbdf address() {
    const auto* text = string("address", take("address"));
    if (text == nullptr) {
      return {};
    }
    const auto address = pci::parse_sbdf(*text);
    if (!address) {
      complain(fmt::format("{}; give an address such as 0000:03:00.0", address.error().context));
      return {};
    }
    return *address;
  }

  [[nodiscard]] messages::domain_name domain() {
    const auto* given = take("domain");
    if (given == nullptr) {
      return {};
    }
    if (given->is_number_unsigned() && given->get<std::uint64_t>() <= largest_domain) {
      return {std::to_string(given->get<std::uint64_t>())};
    }
    const auto* name = given->is_string() ? given->get_ptr<const std::string*>() : nullptr;
    const auto printable = [](unsigned char c) { return c > ' ' && c != 0x7f; };
    if (name == nullptr || name->empty() || name->size() > longest_domain_name ||
        !std::all_of(name->begin(), name->end(), printable)) {
      complain("\"domain\" is neither a guest's number nor its name; give one of them");
      return {};
    }
    return {*name};
  }

  [[nodiscard]] pci::quirk quirk() {
    const auto* text = string("quirk", take("quirk"));
    if (text == nullptr) {
      return {};
    }
    const auto quirk = pci::parse_quirk(*text);
    if (!quirk) {
      complain(fmt::format("{}; give REGISTER:SIZE:MASK, such as 4c:4:ffffffff", quirk.error().context));
      return {};
    }
    return *quirk;
  }

  /// Empty: not given.
  [[nodiscard]] std::optional<std::string> text(std::string_view name) {
    taken_.push_back(name);
    const auto* found = string(name, find(name));
    return found == nullptr ? std::nullopt : std::optional{*found};
  }

  /// Empty: not given.
  [[nodiscard]] std::optional<pci::rdm_policy> rdm() {
    taken_.push_back("rdm");
    const auto* given = find("rdm");
    if (given == nullptr) {
      return std::nullopt;
    }
    for (const auto policy : {pci::rdm_policy::strict, pci::rdm_policy::relaxed}) {
      if (*given == std::string{pci::to_string(policy)}) {
        return policy;
      }
    }
    complain("\"rdm\" is neither \"strict\" nor \"relaxed\"; give one of them");
    return std::nullopt;
  }

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] bool flag(std::string_view name) { return boolean(name, take(name)); }
  [[nodiscard]] bool flag(std::string_view name, bool otherwise) {
    taken_.push_back(name);
    const auto* given = find(name);
    return given == nullptr ? otherwise : boolean(name, given);
  }

  /// The command, unless something was wrong with its parameters, or there are others.
  [[nodiscard]] parsed<request> finish(command what) {
    check_names();
    if (!complaint_.empty()) {
      return refuse(id_, error_code::invalid_params, std::move(complaint_));
    }
    return request{std::move(id_), std::move(what)};
  }

private:
  void check_names() {
    if (values_ == nullptr) {
      return;
    }
    for (const auto& [name, value] : values_->items()) {
      if (std::find(taken_.begin(), taken_.end(), name) == taken_.end()) {
        complain(fmt::format("the method does not take one of the parameters; it takes {}",
                             taken_.empty() ? "none" : fmt::format("{}", fmt::join(taken_, ", "))));
      }
    }
  }

  [[nodiscard]] const json* find(std::string_view name) const {
    if (values_ == nullptr) {
      return nullptr;
    }
    const auto found = values_->find(std::string{name});
    return found == values_->end() ? nullptr : &*found;
  }

  [[nodiscard]] const json* take(std::string_view name) {
    taken_.push_back(name);
    const auto* found = find(name);
    if (found == nullptr) {
      complain(fmt::format("the parameter \"{}\" is missing; give it", name));
    }
    return found;
  }

  [[nodiscard]] const std::string* string(std::string_view name, const json* given) {
    if (given != nullptr && !given->is_string()) {
      complain(fmt::format("\"{}\" is not a string; give one", name));
    }
    return given != nullptr && given->is_string() ? given->get_ptr<const std::string*>() : nullptr;
  }

  [[nodiscard]] bool boolean(std::string_view name, const json* given) {
    if (given != nullptr && !given->is_boolean()) {
      complain(fmt::format("\"{}\" is neither true nor false; give one of them", name));
    }
    return given != nullptr && given->is_boolean() && given->get<bool>();
  }

  void complain(std::string what) {
    if (complaint_.empty()) {
      complaint_ = std::move(what);
    }
  }

  request_id id_;
  const json* values_ = nullptr;
  std::vector<std::string_view> taken_;
  std::string complaint_;
};

struct method {
  std::string_view name;
  command (*read)(parameters&);
};

// Braces evaluate from left to right, so complaints come in the order of the fields.
pci::policy_change quirk_change(parameters& from) {
  const auto quirk = from.quirk();
  return from.flag("on", true) ? pci::policy_change{.open = quirk} : pci::policy_change{.close = quirk.offset};
}

trace trace_of(parameters& from) {
  trace what;
  if (from.has("address")) {
    what.address = from.address();
  }
  if (from.has("domain")) {
    what.guest = from.domain();
  }
  what.end = from.flag("end", false);
  return what;
}

constexpr std::array<method, 21> methods{{
    {"hold",
     [](parameters& from) -> command {
       return hold{from.address(), from.flag("seize", false)};
     }},
    {"release",
     [](parameters& from) -> command {
       return release{from.address(), from.flag("probe", true)};
     }},
    {"attach",
     [](parameters& from) -> command {
       return attach{from.domain(), from.address(), {.rdm = from.rdm()}};
     }},
    {"detach",
     [](parameters& from) -> command {
       return detach{from.domain(), from.address()};
     }},
    {"drain",
     [](parameters& from) -> command { return from.has("domain") ? drain{from.domain()} : drain{from.address()}; }},
    {"retry", [](parameters& from) -> command { return retry{from.address()}; }},
    {"list", [](parameters&) -> command { return list{}; }},
    {"explain",
     [](parameters& from) -> command { return from.has("domain") ? explain{from.domain()} : explain{from.address()}; }},
    {"actors", [](parameters&) -> command { return look{}; }},
    {"metrics", [](parameters&) -> command { return metrics{}; }},
    {"watch", [](parameters&) -> command { return watch{}; }},
    {"acknowledge",
     [](parameters& from) -> command {
       return acknowledge{from.address(), from.flag("on")};
     }},
    {"permissive",
     [](parameters& from) -> command {
       return change{from.address(), {.permissive = from.flag("on")}};
     }},
    {"interrupt_control",
     [](parameters& from) -> command {
       return change{from.address(), {.interrupt_control = from.flag("on")}};
     }},
    {"quirk",
     [](parameters& from) -> command {
       return change{from.address(), quirk_change(from)};
     }},
    {"registers", [](parameters& from) -> command { return registers{from.address()}; }},
    {"config", [](parameters& from) -> command { return configuration{from.address()}; }},
    {"trace", [](parameters& from) -> command { return trace_of(from); }},
    {"reload",
     [](parameters& from) -> command {
       return reload{from.text("text"), from.text("name").value_or("the settings")};
     }},
    {"recent", [](parameters&) -> command { return recent{}; }},
    {"version", [](parameters&) -> command { return version{}; }},
}};

std::string method_names() {
  std::vector<std::string_view> names;
  std::transform(methods.begin(), methods.end(), std::back_inserter(names), [](const method& one) { return one.name; });
  return fmt::format("{}", fmt::join(names, ", "));
}

// A number that is no integer need not come back as the digits that were sent, so it is no id (JSON-RPC 2.0, section
// 4).
parsed<request_id> read_id(const json& request) {
  const auto id = request.find("id");
  if (id == request.end()) {
    return request_id{};
  }
  if (!id->is_string() && !id->is_number_integer() && !id->is_null()) {
    return refuse("null", error_code::invalid_request, "\"id\" is neither a string nor an integer; give one of them");
  }
  return request_id{id->dump()};
}

parsed<request> read_request(const json& document) {
  if (!document.is_object()) {
    return refuse("null", error_code::invalid_request, "the request is not JSON-RPC; send one object per line");
  }
  auto id = read_id(document);
  if (!id) {
    return tl::unexpected(std::move(id.error()));
  }
  const auto answered = id->value_or("null");
  const auto version = document.find("jsonrpc");
  if (version == document.end() || *version != "2.0") {
    return refuse(answered, error_code::invalid_request, "the request is not JSON-RPC 2.0; give \"jsonrpc\":\"2.0\"");
  }
  const auto name = document.find("method");
  if (name == document.end() || !name->is_string()) {
    return refuse(answered, error_code::invalid_request, "\"method\" is not a string; give one");
  }
  if (*name == "sim") { // a simulated host's daemon has taken it before it came here
    return refuse(*id, error_code::method_not_found,
                  "sim is for a simulated host, and this daemon serves a real one; start `pcibackd --simulate FILE`");
  }
  const auto is_it = [&](const method& one) { return *name->get_ptr<const std::string*>() == one.name; };
  const auto found = std::find_if(methods.begin(), methods.end(), is_it);
  if (found == methods.end()) {
    return refuse(*id, error_code::method_not_found, fmt::format("there is no such method; use {}", method_names()));
  }
  parameters given{document, *id};
  return given.finish(found->read(given));
}

} // namespace

tl::expected<request, refusal> parse_request(std::string_view line) {
  if (line.size() > longest_request) {
    return refuse("null", error_code::invalid_request,
                  fmt::format("the request is longer than {} bytes; send a shorter one", longest_request));
  }
  const auto document = json::parse(line, nullptr, false);
  if (document.is_discarded()) {
    return refuse("null", error_code::parse_error, "the request is not JSON; send one JSON object per line");
  }
  return read_request(document);
}

} // namespace actors::control
