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
// The simulated machine has one IO-APIC.
constexpr std::int64_t most_gsi = 23;
constexpr std::int64_t most_operations = 100000000;
constexpr std::int64_t most_delay_ms = 600000;
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

read_result<std::filesystem::path> as_dump(const value& from) {
  const auto text = as_text(from);
  if (!text) {
    return tl::unexpected(text.error());
  }
  if (text->empty() || text->find('\0') != std::string::npos) {
    return wrong(from.at, "is not the name of a file; give what lspci -xxxx was saved as");
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
    return wrong(
        from.at,
        fmt::format("is not a name for a guest; give at most {} letters, digits, \"-\", \"_\" or \".\"", longest_name));
  }
  return name;
}

read_result<std::vector<pci::sbdf>> as_addresses(const value& from) {
  const auto all = as_list(from);
  if (!all) {
    return tl::unexpected(all.error());
  }
  std::vector<pci::sbdf> addresses;
  for (const auto& one : **all) {
    const auto address = as_address(one);
    if (!address) {
      return tl::unexpected(address.error());
    }
    addresses.push_back(*address);
  }
  return addresses;
}

const std::vector<key<simulated_function>>& function_keys() {
  using section = simulated_function;
  static const std::vector<key<section>> keys{
      {"address", store<section>(as_address, [](auto& into, auto is) { into.address = is; }), true},
      {"model", store<section>(as_model, [](auto& into, auto is) { into.model = is; })},
      {"dump", store<section>(as_dump, [](auto& into, auto is) { into.dump = std::move(is); })},
      {"gsi", store<section>(as_gsi, [](auto& into, auto is) { into.gsi = is; })},
      {"level", store<section>(as_boolean, [](auto& into, auto is) { into.level = is; })},
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
    return wrong(at.at, fmt::format("{} has a [[function]] already; keep one of the two", address));
  }
  if (one.model.has_value() == one.dump.has_value()) {
    return wrong(at.at, fmt::format("{} has {} of \"model\" and \"dump\"; give one of them", address,
                                    one.model ? "both" : "none"));
  }
  return {};
}

read_result<void> check_guest(const simulation& before, const simulated_guest& one, const value& at) {
  const auto same = [&](const simulated_guest& other) { return other.name == one.name; };
  if (std::any_of(before.guests.begin(), before.guests.end(), same)) {
    return wrong(at.at, fmt::format("there is a guest \"{}\" already; give another name", one.name));
  }
  for (auto address = one.functions.begin(); address != one.functions.end(); ++address) {
    if (const auto* other = holder(before, *address)) {
      return wrong(at.at, fmt::format("{} is given to \"{}\" already; a function has one guest",
                                      pci::to_string(*address), other->name));
    }
    if (std::find(one.functions.begin(), address, *address) != address) {
      return wrong(at.at, fmt::format("{} is named twice; name it once", pci::to_string(*address)));
    }
  }
  return {};
}

const value* find_key(const value& document, std::string_view name) {
  for (const auto& one : std::get<table>(document.content)) {
    if (one.key == name) {
      return &one.is;
    }
  }
  return nullptr;
}

// A guest may stand above the functions that it gets, so this waits until the whole file is read.
read_result<void> check_references(const simulation& all, const value& document) {
  const auto* guests = find_key(document, "guest");
  for (std::size_t index = 0; index < all.guests.size(); ++index) {
    const auto& guest = all.guests[index];
    for (const auto& address : guest.functions) {
      if (find(all, address) == nullptr) {
        return wrong(std::get<list>(guests->content)[index].at,
                     fmt::format("guest \"{}\" has {}, which is not there; add a [[function]] for it", guest.name,
                                 pci::to_string(address)));
      }
    }
  }
  return {};
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

read_result<simulation> read(const value& document) {
  static const std::vector<key<simulation>> sections{{"function", read_functions, true, true},
                                                     {"guest", read_guests, false, true}};
  simulation all;
  auto done = read_section(document, sections, all);
  if (done) {
    done = check_references(all, document);
  }
  if (!done) {
    return tl::unexpected(done.error());
  }
  return all;
}

} // namespace

std::string_view to_string(device_model model) { return models.at(static_cast<std::size_t>(model)); }

pci::result<simulation> parse_simulation(std::string_view text, std::string_view name) {
  auto all =
      parse_document(text).and_then(read).map_error([name](const complaint& what) { return to_failure(what, name); });
  if (all) {
    for (auto& function : all->functions) {
      if (function.dump && function.dump->is_relative()) {
        function.dump = std::filesystem::path{name}.parent_path() / *function.dump;
      }
    }
  }
  return all;
}

pci::result<simulation> load_simulation(const std::filesystem::path& file) {
  return read_file(file).and_then([&file](const std::string& text) { return parse_simulation(text, file.string()); });
}

} // namespace config
