// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/simulation.hpp"

#include <array>
#include <cctype>

#include "config/reader.hpp"

namespace config {
namespace {

constexpr std::array<std::string_view, 5> models{"e1000e", "nvme", "e1000", "nvme-vf", "bridge"};
constexpr std::array<std::string_view, 2> drivers{"generic", "nvme"};
constexpr std::array<std::string_view, 4> frontends{"linux", "mini-os", "netbsd", "freebsd"};
constexpr std::array<std::string_view, 4> habits{"normal", "silent", "slow", "hostile"};
constexpr std::array<std::string_view, 2> crash_actions{"destroy", "restart"};
// The simulated machine has one IO-APIC.
constexpr std::int64_t most_gsi = 23;
constexpr std::int64_t most_operations = 100000000;
constexpr std::int64_t most_delay_ms = 600000;
constexpr std::size_t longest_driver = 64;
// Of the small BARs, 256 bytes each, in a page that functions share.
constexpr std::ptrdiff_t most_in_a_page = 15;
constexpr std::size_t longest_name = 64;

read_result<device_model> as_model(const value& from) {
  return as_word(from, models).map([](std::size_t index) { return static_cast<device_model>(index); });
}

read_result<guest_driver> as_driver(const value& from) {
  return as_word(from, drivers).map([](std::size_t index) { return static_cast<guest_driver>(index); });
}

read_result<guest_frontend> as_frontend(const value& from) {
  return as_word(from, frontends).map([](std::size_t index) { return static_cast<guest_frontend>(index); });
}

read_result<guest_habit> as_habit(const value& from) {
  return as_word(from, habits).map([](std::size_t index) { return static_cast<guest_habit>(index); });
}

read_result<crash_action> as_crash_action(const value& from) {
  return as_word(from, crash_actions).map([](std::size_t index) { return static_cast<crash_action>(index); });
}

read_result<std::string> as_dom0_driver(const value& from) {
  auto name = as_text(from);
  const auto usable = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; };
  if (name && (name->empty() || name->size() > longest_driver || !std::all_of(name->begin(), name->end(), usable))) {
    return wrong(from.at, "must be the name of a Linux driver, such as \"e1000e\"");
  }
  return name;
}

read_result<pci::reset_method> as_reset_method(const value& from) {
  constexpr std::string_view wanted = "a reset method as in sysfs: \"device_specific\", \"acpi\", \"flr\", "
                                      "\"af_flr\", \"pm\", \"bus\" or \"cxl_bus\"";
  const auto* text = std::get_if<std::string>(&from.content);
  if (text == nullptr) {
    return wrong_kind(from, wanted);
  }
  const auto method = pci::parse_reset_method(*text);
  return method ? read_result<pci::reset_method>{*method}
                : wrong(from.at, fmt::format("must be {}, not \"{}\"", wanted, *text));
}

read_result<std::vector<pci::reset_method>> as_reset_methods(const value& from) {
  return as_list_of(from, as_reset_method);
}

read_result<std::filesystem::path> as_dump(const value& from) {
  const auto text = as_text(from);
  if (!text) {
    return tl::unexpected(text.error());
  }
  if (text->empty() || text->find('\0') != std::string::npos) {
    return wrong(from.at, "must be the name of a file with the output of `lspci -xxxx`");
  }
  return std::filesystem::path{*text};
}

read_result<unsigned> as_gsi(const value& from) {
  return as_integer(from, 0, most_gsi).map([](std::int64_t is) { return static_cast<unsigned>(is); });
}

read_result<unsigned> as_operations(const value& from) {
  return as_integer(from, 0, most_operations).map([](std::int64_t is) { return static_cast<unsigned>(is); });
}

read_result<std::chrono::milliseconds> as_delay(const value& from) {
  return as_integer(from, 0, most_delay_ms).map([](std::int64_t is) { return std::chrono::milliseconds{is}; });
}

// What the hypervisor's tools take for a domain's name.
read_result<std::string> as_name(const value& from) {
  auto name = as_text(from);
  const auto usable = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  if (name && (name->empty() || name->size() > longest_name || !std::all_of(name->begin(), name->end(), usable))) {
    return wrong(from.at,
                 fmt::format("must be a guest's name: up to {} letters, digits, \"-\", \"_\" and \".\"", longest_name));
  }
  return name;
}

read_result<std::vector<pci::sbdf>> as_addresses(const value& from) { return as_list_of(from, as_address); }

const std::vector<key<simulated_function>>& function_keys() {
  using section = simulated_function;
  static const std::vector<key<section>> keys{
      {"address", store<section>(as_address, [](auto& into, auto is) { into.address = is; }), true},
      {"model", store<section>(as_model, [](auto& into, auto is) { into.model = is; })},
      {"dump", store<section>(as_dump, [](auto& into, auto is) { into.dump = std::move(is); })},
      {"gsi", store<section>(as_gsi, [](auto& into, auto is) { into.gsi = is; })},
      {"level", store<section>(as_boolean, [](auto& into, auto is) { into.level = is; })},
      {"dump_address", store<section>(as_address, [](auto& into, auto is) { into.dump_address = is; })},
      {"driver", store<section>(as_dom0_driver, [](auto& into, auto is) { into.driver = std::move(is); })},
      {"driver_uses_line", store<section>(as_boolean, [](auto& into, auto is) { into.driver_uses_line = is; })},
      {"reset_ms", store<section>(as_delay, [](auto& into, auto is) { into.reset_time = is; })},
      {"resets", store<section>(as_reset_methods, [](auto& into, auto is) { into.resets = std::move(is); })},
      {"page_of", store<section>(as_address, [](auto& into, auto is) { into.page_of = is; })},
  };
  return keys;
}

const std::vector<key<simulated_guest>>& guest_keys() {
  using section = simulated_guest;
  static const std::vector<key<section>> keys{
      {"name", store<section>(as_name, [](auto& into, auto is) { into.name = std::move(is); }), true},
      {"functions", store<section>(as_addresses, [](auto& into, auto is) { into.functions = std::move(is); }), true},
      {"frontend", store<section>(as_frontend, [](auto& into, auto is) { into.frontend = is; })},
      {"driver", store<section>(as_driver, [](auto& into, auto is) { into.driver = is; })},
      {"operations", store<section>(as_operations, [](auto& into, auto is) { into.operations = is; })},
      {"start_delay_ms", store<section>(as_delay, [](auto& into, auto is) { into.start_delay = is; })},
      {"autostart", store<section>(as_boolean, [](auto& into, auto is) { into.autostart = is; })},
      {"habit", store<section>(as_habit, [](auto& into, auto is) { into.habit = is; })},
      {"slow_ms", store<section>(as_delay, [](auto& into, auto is) { into.slowness = is; })},
      {"on_crash", store<section>(as_crash_action, [](auto& into, auto is) { into.on_crash = is; })},
  };
  return keys;
}

const simulated_function* find(const simulation& all, const pci::sbdf& address) {
  const auto is_it = [&](const simulated_function& one) { return one.address == address; };
  const auto found = std::find_if(all.functions.begin(), all.functions.end(), is_it);
  return found == all.functions.end() ? nullptr : &*found;
}

const simulated_guest* holder(const simulation& all, const pci::sbdf& address) {
  const auto has = [&](const simulated_guest& one) {
    return std::find(one.functions.begin(), one.functions.end(), address) != one.functions.end();
  };
  const auto found = std::find_if(all.guests.begin(), all.guests.end(), has);
  return found == all.guests.end() ? nullptr : &*found;
}

read_result<void> check_function(const simulation& before, const simulated_function& one, const value& at) {
  const auto address = pci::to_string(one.address);
  if (find(before, one.address) != nullptr) {
    return wrong(at.at, fmt::format("{} already has a [[function]]; keep one of the two", address));
  }
  if (one.model.has_value() == one.dump.has_value()) {
    return wrong(at.at, fmt::format("{} has {} \"model\" {} \"dump\"; give one of them", address,
                                    one.model ? "both" : "neither", one.model ? "and" : "nor"));
  }
  if (one.dump_address && !one.dump) {
    return wrong(at.at,
                 fmt::format("{} has \"dump_address\" without \"dump\"; leave it out, or add dump = ...", address));
  }
  if (one.driver_uses_line && (one.driver.empty() || one.gsi == 0)) {
    return wrong(at.at, fmt::format("{} has \"driver_uses_line\" without \"driver\" and \"gsi\"; add both", address));
  }
  return {};
}

read_result<void> check_guest(const simulation& before, const simulated_guest& one, const value& at) {
  const auto same = [&](const simulated_guest& other) { return other.name == one.name; };
  if (std::any_of(before.guests.begin(), before.guests.end(), same)) {
    return wrong(at.at, fmt::format("there already is a guest \"{}\"; give another name", one.name));
  }
  for (auto address = one.functions.begin(); address != one.functions.end(); ++address) {
    if (const auto* other = holder(before, *address)) {
      return wrong(at.at, fmt::format("{} already belongs to \"{}\"; a function has one guest",
                                      pci::to_string(*address), other->name));
    }
    if (std::find(one.functions.begin(), address, *address) != address) {
      return wrong(at.at, fmt::format("{} is listed twice; list it once", pci::to_string(*address)));
    }
  }
  return {};
}

/// The function whose page it is to share: it is there, and has a page of its own.
void check_page(const simulation& all, const simulated_function& one, complaints& into) {
  const auto* other = one.page_of ? find(all, *one.page_of) : nullptr;
  if (!one.page_of) {
    return;
  }
  const auto name = pci::to_string(one.address);
  if (other == nullptr || other == &one || other->page_of) {
    into.push_back(
        {one.at, fmt::format("{}: page_of must be another [[function]], which has no page_of itself", name)});
    return;
  }
  const auto sharers = std::count_if(all.functions.begin(), all.functions.end(),
                                     [&](const auto& each) { return each.page_of == one.page_of; });
  if (sharers > most_in_a_page) {
    into.push_back({one.at, fmt::format("{}: at most {} functions fit into the page of {}", name, most_in_a_page,
                                        pci::to_string(*one.page_of))});
  }
}

// A guest may stand above the functions that it gets, so this waits until the whole file is read.
complaints check_references(const simulation& all) {
  complaints found = check_events(all.events, all);
  for (const auto& guest : all.guests) {
    for (const auto& address : guest.functions) {
      if (find(all, address) == nullptr) {
        found.push_back({guest.at, fmt::format("guest \"{}\" has {}, which does not exist; add a [[function]] for it",
                                               guest.name, pci::to_string(address))});
      }
    }
  }
  for (const auto& function : all.functions) {
    check_page(all, function, found);
  }
  return found;
}

read_result<void> read_functions(const value& from, simulation& into) {
  return read_sections<simulated_function>(
      from, function_keys(), into.functions,
      [&](const auto& one, const value& at) { return check_function(into, one, at); });
}

read_result<void> read_guests(const value& from, simulation& into) {
  return read_sections<simulated_guest>(from, guest_keys(), into.guests,
                                        [&](const auto& one, const value& at) { return check_guest(into, one, at); });
}

read_result<void> read_own_events(const value& from, simulation& into) { return read_events(from, into.events); }

read_result<simulation> read(const value& document) {
  static const std::vector<key<simulation>> sections{{"function", read_functions, true, true},
                                                     {"guest", read_guests, false, true},
                                                     {"event", read_own_events, false, true}};
  simulation all;
  return read_section(document, sections, all).and_then([&]() -> read_result<simulation> {
    return unless(check_references(all)).map([&] { return std::move(all); });
  });
}

} // namespace

std::string_view to_string(device_model model) { return models.at(static_cast<std::size_t>(model)); }

complaints check_events(const std::vector<event>& events, const simulation& all) {
  complaints found;
  for (const auto& one : events) {
    const auto& guest = one.what.guest;
    const auto& function = one.what.function;
    const auto action = one.what.action;
    const auto same = [&](const simulated_guest& other) { return other.name == guest; };
    if (!guest.empty() && std::none_of(all.guests.begin(), all.guests.end(), same)) {
      found.push_back({one.at, fmt::format("{}: there is no [[guest]] \"{}\"", to_string(action), guest)});
    }
    if (function && find(all, *function) == nullptr) {
      found.push_back(
          {one.at, fmt::format("{}: there is no [[function]] {}", to_string(action), pci::to_string(*function))});
    }
  }
  return found;
}

read_result<simulation> read_simulation(std::string_view text, std::string_view name) {
  auto all = parse_document(text).and_then(read);
  if (all) {
    for (auto& function : all->functions) {
      if (function.dump && function.dump->is_relative()) {
        function.dump = std::filesystem::path{name}.parent_path() / *function.dump;
      }
    }
  }
  return all;
}

pci::result<simulation> parse_simulation(std::string_view text, std::string_view name) {
  return read_simulation(text, name).map_error([name](const complaints& what) { return to_failure(what, name); });
}

pci::result<simulation> load_simulation(const std::filesystem::path& file) {
  return read_file(file).and_then([&file](const std::string& text) { return parse_simulation(text, file.string()); });
}

} // namespace config
