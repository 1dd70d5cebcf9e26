// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/settings.hpp"

#include <array>

#include "config/reader.hpp"

namespace config {
namespace {

// sockaddr_un's sun_path without its terminating zero.
constexpr std::size_t longest_socket_path = 107;
constexpr std::int64_t least_patience_ms = 100;
constexpr std::int64_t most_patience_ms = 600000;
constexpr std::int64_t longest_poll_us = 1000;
constexpr std::int64_t least_interrupt_rate = 5;
constexpr std::int64_t most_interrupt_rate = 1000;
constexpr std::int64_t least_line_rate = 100;
constexpr std::int64_t most_line_rate = 1000000; // Xen's own limit
constexpr std::int64_t most_aer_patience_s = 600;

read_result<std::string> as_socket(const value& from) {
  auto path = as_text(from);
  if (!path) {
    return path;
  }
  if (path->empty() || path->front() != '/' || path->back() == '/' || path->find('\0') != std::string::npos) {
    return wrong(from.at, "must be the absolute path of a file, such as \"/run/pcibackd/control.sock\"");
  }
  if (path->size() > longest_socket_path) {
    return wrong(from.at,
                 fmt::format("must have at most {} bytes, as the address of any Unix socket; choose a shorter path",
                             longest_socket_path));
  }
  return path;
}

read_result<std::string> as_directory(const value& from) {
  auto path = as_text(from);
  if (path && (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos)) {
    return wrong(from.at, "must be the absolute path of a directory, such as \"/run/pcibackd\"");
  }
  return path;
}

// node_exporter reads what ends so, and nothing else.
read_result<std::string> as_metrics_file(const value& from) {
  auto path = as_text(from);
  if (path && (path->empty() || path->front() != '/' || !path->ends_with(".prom") || path->ends_with("/.prom") ||
               path->find('\0') != std::string::npos)) {
    return wrong(from.at, "is not the absolute path of a file that ends in .prom; give one such as "
                          "\"/var/lib/prometheus/node-exporter/pcibackd.prom\"");
  }
  return path;
}

read_result<log_level> as_level(const value& from) {
  static constexpr std::array<std::string_view, 5> words{"trace", "debug", "info", "warning", "error"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<log_level>(index); });
}

read_result<pci::topology_mode> as_topology(const value& from) {
  static constexpr std::array<std::string_view, 2> words{"vpci", "passthrough"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::topology_mode>(index); });
}

read_result<pci::function_numbers> as_function_numbers(const value& from) {
  static constexpr std::array<std::string_view, 2> words{"from_zero", "kept"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::function_numbers>(index); });
}

read_result<std::chrono::milliseconds> as_patience(const value& from) {
  return as_integer(from, least_patience_ms, most_patience_ms).map([](std::int64_t ms) {
    return std::chrono::milliseconds{ms};
  });
}

read_result<std::chrono::seconds> as_aer_patience(const value& from) {
  return as_integer(from, 1, most_aer_patience_s).map([](std::int64_t s) { return std::chrono::seconds{s}; });
}

read_result<pci::error_policy> as_error_policy(const value& from) {
  static constexpr std::array<std::string_view, 3> words{"kill", "detach", "log"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::error_policy>(index); });
}

read_result<pci::quirk> as_quirk(const value& from) {
  return as_parsed(from, pci::parse_quirk, "REGISTER:SIZE:MASK in hexadecimal, such as \"4c:4:ffffffff\"");
}

read_result<std::vector<pci::quirk>> as_quirks(const value& from) { return as_list_of(from, as_quirk); }

read_result<pci::sbdf_pattern> as_pattern(const value& from) {
  return as_parsed(from, pci::parse_pattern,
                   "an address such as \"0000:03:00.0\", \"0000:03:00.*\" or \"0000:03:*.*\"");
}

read_result<std::vector<pci::sbdf_pattern>> as_hide_list(const value& from) {
  return as_parsed(from, pci::parse_hide_list, "addresses in parentheses, such as \"(0000:03:00.0)(04:00.*)\"");
}

read_result<pci::id_pattern> as_ids(const value& from) {
  return as_parsed(from, pci::parse_ids,
                   "vendor and device as lspci -n shows them, such as \"8086:10d3\" or \"8086:*\"");
}

read_result<pci::class_pattern> as_class(const value& from) {
  return as_parsed(from, pci::parse_class,
                   "a class as lspci -n shows it, such as \"0200\", or its beginning, such as \"02\"");
}

read_result<pci::line_policy> as_line_policy(const value& from) {
  static constexpr std::array<std::string_view, 3> words{"acknowledge", "noirqdebug", "refuse"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::line_policy>(index); });
}

read_result<pci::rdm_policy> as_rdm_policy(const value& from) {
  static constexpr std::array<std::string_view, 2> words{"strict", "relaxed"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::rdm_policy>(index); });
}

read_result<pci::reuse_policy> as_reuse_policy(const value& from) {
  static constexpr std::array<std::string_view, 2> words{"at_once", "after_guest"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::reuse_policy>(index); });
}

read_result<pci::power_policy> as_power_policy(const value& from) {
  static constexpr std::array<std::string_view, 2> words{"d0", "auto"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::power_policy>(index); });
}

read_result<unsigned> as_rate(const value& from, std::int64_t least, std::int64_t most) {
  return as_integer(from, least, most).map([](std::int64_t rate) { return static_cast<unsigned>(rate); });
}

read_result<unsigned> as_line_rate(const value& from) { return as_rate(from, least_line_rate, most_line_rate); }

read_result<unsigned> as_interrupt_rate(const value& from) {
  return as_rate(from, least_interrupt_rate, most_interrupt_rate);
}

read_result<unsigned> as_access_rate(const value& from) {
  return as_rate(from, pci::access_budget::least_rate, pci::access_budget::most_rate);
}

read_result<std::chrono::microseconds> as_poll_time(const value& from) {
  return as_integer(from, 0, longest_poll_us).map([](std::int64_t count) { return std::chrono::microseconds(count); });
}

read_result<unsigned> as_percentage(const value& from) { return as_rate(from, 0, 100); }

const std::vector<key<settings>>& daemon_keys() {
  static const std::vector<key<settings>> keys{
      {"socket", store<settings>(as_socket, [](auto& into, auto is) { into.socket = std::move(is); })},
      {"log_level", store<settings>(as_level, [](auto& into, auto is) { into.level = is; })},
      {"topology", store<settings>(as_topology, [](auto& into, auto is) { into.topology = is; })},
      {"function_numbers",
       store<settings>(as_function_numbers, [](auto& into, auto is) { into.function_numbers = is; })},
      {"permissive", store<settings>(as_boolean, [](auto& into, bool is) { into.permissive = is; })},
      {"power", store<settings>(as_power_policy, [](auto& into, auto is) { into.power = is; })},
      {"frontend_patience_ms", store<settings>(as_patience, [](auto& into, auto is) { into.frontend_patience = is; })},
      {"line_rate", store<settings>(as_line_rate, [](auto& into, auto is) { into.line_rate = is; })},
      {"interrupt_rate", store<settings>(as_interrupt_rate, [](auto& into, auto is) { into.interrupt_rate = is; })},
      {"access_rate", store<settings>(as_access_rate, [](auto& into, auto is) { into.access_rate = is; })},
      {"poll_us", store<settings>(as_poll_time, [](auto& into, auto is) { into.polling.longest = is; })},
      {"poll_share", store<settings>(as_percentage, [](auto& into, auto is) { into.polling.share = is; })},
      {"aer_patience_s", store<settings>(as_aer_patience, [](auto& into, auto is) { into.aer_patience = is; })},
      {"metrics_file",
       store<settings>(as_metrics_file, [](auto& into, auto is) { into.metrics_file = std::move(is); })},
      {"runtime", store<settings>(as_directory, [](auto& into, auto is) { into.runtime = std::move(is); })},
  };
  return keys;
}

setter<device> flag(bool device::*which) {
  return store<device>(as_boolean, [which](device& into, bool is) { into.*which = is; });
}

setter<device> flag(bool pci::policy::*which) {
  return store<device>(as_boolean, [which](device& into, bool is) { into.policy.*which = is; });
}

// -- pin

// A pair of ids that names one kind of card.
read_result<pci::id_pattern> as_pinned_ids(const value& from) {
  auto ids = as_ids(from);
  if (ids && !ids->device) {
    return wrong(from.at, "a pin names one kind of card: it must be vendor and device, such as \"8086:10d3\"");
  }
  return ids;
}

read_result<pci::subsystem_ids> as_board(const value& from) {
  return as_pinned_ids(from).map([](const pci::id_pattern& ids) {
    return pci::subsystem_ids{ids.vendor, *ids.device};
  });
}

read_result<std::uint64_t> as_serial(const value& from) {
  return as_parsed(from, pci::parse_serial,
                   "a Device Serial Number as lspci -vv shows it, such as \"52-54-00-ff-ff-12-34-56\"");
}

read_result<pci::pin> as_pin(const value& from) {
  static const std::vector<key<pci::pin>> keys{
      {"ids", store<pci::pin>(as_pinned_ids, [](auto& into, auto is) { into.ids = is; })},
      {"subsystem", store<pci::pin>(as_board, [](auto& into, auto is) { into.board = is; })},
      {"serial", store<pci::pin>(as_serial, [](auto& into, auto is) { into.serial = is; })},
  };
  pci::pin pin;
  if (const auto done = read_section(from, keys, pin); !done) {
    return tl::unexpected(done.error());
  }
  if (pin.empty()) {
    return wrong(from.at, "is empty; add ids, subsystem or serial");
  }
  return pin;
}

// -- devices

read_result<void> set_address(const value& from, device& into) {
  if (into.match.address) {
    return wrong(from.at, "\"match\" and \"address\" mean the same; keep one of them");
  }
  return as_pattern(from).map([&into](const pci::sbdf_pattern& is) { into.match.address = is; });
}

const std::vector<key<device>>& device_keys() {
  static const std::vector<key<device>> keys{
      {"address", set_address},
      {"match", set_address},
      {"ids", store<device>(as_ids, [](device& into, auto is) { into.match.ids = is; })},
      {"class", store<device>(as_class, [](device& into, auto is) { into.match.classes = is; })},
      {"pin", store<device>(as_pin, [](device& into, auto is) { into.pin = is; })},
      {"hold", flag(&device::hold)},
      {"seize", flag(&device::seize)},
      {"keep_policy", flag(&device::keep_policy)},
      {"override_boot", flag(&device::override_boot)},
      {"permissive", flag(&pci::policy::permissive)},
      {"allow_interrupt_control", flag(&pci::policy::allow_interrupt_control)},
      {"msi", flag(&pci::policy::msi)},
      {"msix", flag(&pci::policy::msix)},
      {"line", store<device>(as_line_policy, [](device& into, auto is) { into.policy.line = is; })},
      {"aer", store<device>(as_error_policy, [](device& into, auto is) { into.policy.aer = is; })},
      {"rdm", store<device>(as_rdm_policy, [](device& into, auto is) { into.policy.rdm = is; })},
      {"reuse", store<device>(as_reuse_policy, [](device& into, auto is) { into.policy.reuse = is; })},
      {"power", store<device>(as_power_policy, [](device& into, auto is) { into.power = is; })},
      {"share_pages", flag(&pci::policy::share_pages)},
      {"quirks", store<device>(as_quirks, [](device& into, auto is) { into.policy.quirks = std::move(is); })},
  };
  return keys;
}

read_result<void> check_device(const device& one, const value& at, const std::vector<device>& before) {
  if (one.match.empty()) {
    return wrong(at.at, "this [[device]] matches nothing; add address, ids or class");
  }
  const auto same = [&one](const device& other) { return other.match == one.match; };
  if (std::any_of(before.begin(), before.end(), same)) {
    return wrong(at.at, fmt::format("{} already has a [[device]]; keep one of the two", pci::to_string(one.match)));
  }
  if ((one.pin || one.override_boot) && !one.match.whole_address()) {
    return wrong(at.at, fmt::format("{} is for a single function; give its full address, such as \"0000:03:00.0\"",
                                    one.pin ? "a pin" : "override_boot"));
  }
  return {};
}

read_result<void> read_devices(const value& from, settings& into) {
  return read_sections<device>(from, device_keys(), into.devices, [&into](const device& one, const value& at) {
    return check_device(one, at, into.devices);
  });
}

// -- assignments

read_result<std::string> as_domain(const value& from) {
  auto text = as_text(from);
  if (text && text->empty()) {
    return wrong(from.at, "is empty; it must be the name or the UUID of a guest");
  }
  return text;
}

read_result<std::vector<pci::sbdf>> as_addresses(const value& from) {
  auto all = as_list_of(from, as_address);
  if (!all) {
    return all;
  }
  auto sorted = *all;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    return wrong(from.at, fmt::format("{} is listed twice; list it once", pci::to_string(*twice)));
  }
  return all;
}

read_result<void> read_assignments(const value& from, settings& into) {
  static const std::vector<key<assignment>> keys{
      {"domain", store<assignment>(as_domain, [](auto& one, auto is) { one.domain = std::move(is); }), true},
      {"devices", store<assignment>(as_addresses, [](auto& one, auto is) { one.devices = std::move(is); }), true},
  };
  return read_sections<assignment>(
      from, keys, into.assignments, [&into](const assignment& one, const value& at) -> read_result<void> {
        const auto same = [&one](const assignment& other) { return other.domain == one.domain; };
        if (std::any_of(into.assignments.begin(), into.assignments.end(), same)) {
          return wrong(at.at,
                       fmt::format("\"{}\" already has an [[assign]]; put all its devices into one", one.domain));
        }
        return {};
      });
}

// What libxl takes for a name; a UUID is one too.
read_result<std::string> as_guest(const value& from) {
  auto name = as_text(from);
  if (name && (name->empty() || name->find('/') != std::string::npos || name->find('\0') != std::string::npos)) {
    return wrong(from.at, "must be the name or the UUID of a guest, as `xl list -v` shows it");
  }
  return name;
}

const std::vector<key<guest>>& guest_keys() {
  static const std::vector<key<guest>> keys{
      {"match", store<guest>(as_guest, [](guest& into, auto is) { into.match = std::move(is); }), true},
      {"hot_plug", store<guest>(as_boolean, [](guest& into, bool is) { into.hot_plug = is; })},
  };
  return keys;
}

read_result<void> read_guests(const value& from, settings& into) {
  return read_sections<guest>(
      from, guest_keys(), into.guests, [&into](const guest& one, const value& at) -> read_result<void> {
        const auto same = [&one](const guest& other) { return other.match == one.match; };
        if (std::any_of(into.guests.begin(), into.guests.end(), same)) {
          return wrong(at.at, fmt::format("\"{}\" already has a [[guest]]; keep one of the two", one.match));
        }
        return {};
      });
}

read_result<settings> read(const value& document) {
  static const std::vector<key<settings>> sections{
      {"daemon", [](const value& from, settings& into) { return read_section(from, daemon_keys(), into); }, false,
       true},
      {"hide", store<settings>(as_hide_list, [](auto& into, auto is) { into.hide = std::move(is); })},
      {"device", read_devices, false, true},
      {"guest", read_guests, false, true},
      {"assign", read_assignments, false, true},
  };
  settings all;
  const auto done = read_section(document, sections, all);
  if (!done) {
    return tl::unexpected(done.error());
  }
  return all;
}

} // namespace

pci::result<settings> parse(std::string_view text, std::string_view name) {
  return parse_document(text).and_then(read).map_error([name](const complaints& all) { return to_failure(all, name); });
}

examined examine(std::string_view text, std::string_view name) {
  auto got = parse_document(text).and_then(read);
  if (!got) {
    return {{}, to_lines(got.error(), name), {}};
  }
  auto doubts = to_lines(doubts_about(*got), name);
  return {std::move(*got), {}, std::move(doubts)};
}

pci::result<settings> load(const std::filesystem::path& file) {
  return read_file(file)
      .and_then([&file](const std::string& text) { return parse(text, file.string()); })
      .map([&file](settings all) {
        all.file = std::filesystem::absolute(file).string();
        return all;
      });
}

} // namespace config
