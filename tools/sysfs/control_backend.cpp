// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/sysfs/control_backend.hpp"

#include <cerrno>
#include <charconv>
#include <optional>

#include <nlohmann/json.hpp>

namespace sysfs_program {
namespace {

using json = nlohmann::json;

tl::unexpected<pci::failure> odd() {
  return pci::fail(EPROTO, "pcibackd's answer is not understood; are it and pcibackd-sysfs of one version?");
}

std::string text_of(const json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

bool flag_of(const json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_boolean() && found->get<bool>();
}

std::uint64_t number_of(const json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::uint16_t id_of(const json& from, const char* name) {
  const auto text = text_of(from, name);
  std::uint16_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id, 16);
  return id;
}

bool assignable(std::string_view state) {
  return state == "held" || state == "granted" || state == "leased" || state == "inherited" || state == "scrubbing";
}

std::optional<function> function_of(const json& from) {
  const auto address = from.is_object() ? pci::parse_sbdf(text_of(from, "address")) : pci::fail(EPROTO, "");
  if (!address) {
    return std::nullopt;
  }
  const auto line = from.find("line");
  const bool has_line = line != from.end() && line->is_object();
  const auto mode = text_of(from, "mode");
  const auto state = text_of(from, "state");
  return function{*address,
                  assignable(state) && !flag_of(from, "reserved"),
                  state == "scrubbing",
                  flag_of(from, "permissive"),
                  flag_of(from, "interrupt_control"),
                  has_line && text_of(*line, "holder") == "uio_pci_generic",
                  mode == "msi" || mode == "msix",
                  has_line ? number_of(*line, "acknowledged") : 0};
}

client_program::call call_of(const char* method, const pci::sbdf& address) {
  client_program::call what{method, {}, address, {}, {}};
  return what;
}

} // namespace

pci::result<std::vector<function>> parse_functions(const std::string& result) {
  const auto parsed = json::parse(result, nullptr, false);
  const auto functions = parsed.is_object() ? parsed.find("functions") : parsed.end();
  if (!parsed.is_object() || functions == parsed.end() || !functions->is_array()) {
    return odd();
  }
  std::vector<function> all;
  for (const auto& one : *functions) {
    const auto read = function_of(one);
    if (!read) {
      return odd();
    }
    all.push_back(*read);
  }
  return all;
}

pci::result<register_list> parse_registers(const std::string& result) {
  const auto parsed = json::parse(result, nullptr, false);
  if (!parsed.is_object()) {
    return odd();
  }
  const auto address = pci::parse_sbdf(text_of(parsed, "address"));
  const auto fields = parsed.find("fields");
  if (!address || fields == parsed.end() || !fields->is_array()) {
    return odd();
  }
  register_list all{*address,
                    id_of(parsed, "vendor"),
                    id_of(parsed, "device"),
                    id_of(parsed, "subsystem_vendor"),
                    id_of(parsed, "subsystem"),
                    {}};
  for (const auto& one : *fields) {
    const auto field = one.is_string() ? pci::parse_quirk(one.get<std::string>()) : pci::fail(EPROTO, "");
    if (!field) {
      return odd();
    }
    all.fields.push_back(*field);
  }
  return all;
}

pci::result<std::string> control_backend::ask(const client_program::call& what) const {
  const auto answer = client_program::exchange(socket_, client_program::request_line(what));
  if (!answer) {
    return pci::fail(EIO, answer.error().context);
  }
  return client_program::result_of(*answer);
}

pci::result<void> control_backend::command(const client_program::call& what) const {
  return ask(what).map([](const std::string&) {});
}

pci::result<std::vector<function>> control_backend::list() {
  return ask({"list", {}, {}, {}, {}}).and_then(parse_functions);
}

pci::result<register_list> control_backend::registers(const pci::sbdf& address) {
  return ask(call_of("registers", address)).and_then(parse_registers);
}

pci::result<void> control_backend::hold(const pci::sbdf& address) { return command(call_of("hold", address)); }

pci::result<void> control_backend::release(const pci::sbdf& address) {
  auto what = call_of("release", address);
  what.probe = false;
  return command(what);
}

pci::result<void> control_backend::set_permissive(const pci::sbdf& address) {
  auto what = call_of("permissive", address);
  what.on = true;
  return command(what);
}

pci::result<void> control_backend::allow_interrupt_control(const pci::sbdf& address) {
  auto what = call_of("interrupt_control", address);
  what.on = true;
  return command(what);
}

pci::result<void> control_backend::add_quirk(const pci::addressed_quirk& quirk) {
  auto what = call_of("quirk", quirk.address);
  what.quirk = pci::to_string(quirk.what);
  return command(what);
}

pci::result<void> control_backend::acknowledge(const pci::sbdf& address, bool on) {
  auto what = call_of("acknowledge", address);
  what.on = on;
  return command(what);
}

} // namespace sysfs_program
