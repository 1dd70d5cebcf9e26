#include "config/settings.hpp"

#include <array>

#include "config/reader.hpp"

namespace config {
namespace {

// sockaddr_un's sun_path without its terminating zero.
constexpr std::size_t longest_socket_path = 107;
constexpr std::int64_t least_patience_ms = 100;
constexpr std::int64_t most_patience_ms = 600000;
constexpr std::int64_t least_line_rate = 100;
constexpr std::int64_t most_line_rate = 1000000; // Xen's own limit

read_result<std::string> as_socket(const value& from) {
  auto path = as_text(from);
  if (!path) {
    return path;
  }
  if (path->empty() || path->front() != '/' || path->back() == '/' || path->find('\0') != std::string::npos) {
    return wrong(from.at, "is not the absolute path of a file; give one such as \"/run/pcibackd/control.sock\"");
  }
  if (path->size() > longest_socket_path) {
    return wrong(from.at, fmt::format("is longer than the {} bytes of a socket's address; give a shorter path",
                                      longest_socket_path));
  }
  return path;
}

read_result<std::string> as_directory(const value& from) {
  auto path = as_text(from);
  if (path && (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos)) {
    return wrong(from.at, "is not the absolute path of a directory; give one such as \"/run/pcibackd\"");
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

read_result<std::chrono::milliseconds> as_patience(const value& from) {
  return as_integer(from, least_patience_ms, most_patience_ms).map([](std::int64_t ms) {
    return std::chrono::milliseconds{ms};
  });
}

read_result<pci::quirk> as_quirk(const value& from) {
  const auto text = as_text(from);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const auto quirk = pci::parse_quirk(*text);
  if (!quirk) {
    return wrong(from.at, fmt::format("{}; give REGISTER:SIZE:MASK in hexadecimal, such as \"4c:4:ffffffff\"",
                                      quirk.error().context));
  }
  return *quirk;
}

read_result<std::vector<pci::quirk>> as_quirks(const value& from) {
  const auto all = as_list(from);
  if (!all) {
    return tl::unexpected(all.error());
  }
  std::vector<pci::quirk> quirks;
  for (const auto& one : **all) {
    const auto quirk = as_quirk(one);
    if (!quirk) {
      return tl::unexpected(quirk.error());
    }
    quirks.push_back(*quirk);
  }
  return quirks;
}

read_result<pci::line_policy> as_line_policy(const value& from) {
  static constexpr std::array<std::string_view, 3> words{"acknowledge", "noirqdebug", "refuse"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::line_policy>(index); });
}

read_result<unsigned> as_line_rate(const value& from) {
  return as_integer(from, least_line_rate, most_line_rate).map([](std::int64_t rate) {
    return static_cast<unsigned>(rate);
  });
}

const std::vector<key<settings>>& daemon_keys() {
  static const std::vector<key<settings>> keys{
      {"socket", store<settings>(as_socket, [](auto& into, auto is) { into.socket = std::move(is); })},
      {"log_level", store<settings>(as_level, [](auto& into, auto is) { into.level = is; })},
      {"topology", store<settings>(as_topology, [](auto& into, auto is) { into.topology = is; })},
      {"permissive", store<settings>(as_boolean, [](auto& into, bool is) { into.permissive = is; })},
      {"frontend_patience_ms", store<settings>(as_patience, [](auto& into, auto is) { into.frontend_patience = is; })},
      {"line_rate", store<settings>(as_line_rate, [](auto& into, auto is) { into.line_rate = is; })},
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

const std::vector<key<device>>& device_keys() {
  static const std::vector<key<device>> keys{
      {"match", store<device>(as_address, [](device& into, pci::sbdf is) { into.match = is; }), true},
      {"hold", flag(&device::hold)},
      {"seize", flag(&device::seize)},
      {"keep_policy", flag(&device::keep_policy)},
      {"permissive", flag(&pci::policy::permissive)},
      {"allow_interrupt_control", flag(&pci::policy::allow_interrupt_control)},
      {"msi", flag(&pci::policy::msi)},
      {"msix", flag(&pci::policy::msix)},
      {"line", store<device>(as_line_policy, [](device& into, auto is) { into.policy.line = is; })},
      {"quirks", store<device>(as_quirks, [](device& into, auto is) { into.policy.quirks = std::move(is); })},
  };
  return keys;
}

read_result<void> read_devices(const value& from, settings& into) {
  return read_sections<device>(
      from, device_keys(), into.devices, [&into](const device& one, const value& at) -> read_result<void> {
        const auto same = [&one](const device& other) { return other.match == one.match; };
        if (std::any_of(into.devices.begin(), into.devices.end(), same)) {
          return wrong(at.at,
                       fmt::format("{} has a [[device]] already; keep one of the two", pci::to_string(one.match)));
        }
        return {};
      });
}

// What libxl takes for a name; a UUID is one too.
read_result<std::string> as_guest(const value& from) {
  auto name = as_text(from);
  if (name && (name->empty() || name->find('/') != std::string::npos || name->find('\0') != std::string::npos)) {
    return wrong(from.at, "is neither the name nor the UUID of a domain; give one as `xl list -v` shows it");
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
          return wrong(at.at, fmt::format("\"{}\" has a [[guest]] already; keep one of the two", one.match));
        }
        return {};
      });
}

read_result<settings> read(const value& document) {
  static const std::vector<key<settings>> sections{
      {"daemon", [](const value& from, settings& into) { return read_section(from, daemon_keys(), into); }, false,
       true},
      {"device", read_devices, false, true},
      {"guest", read_guests, false, true},
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
  return parse_document(text).and_then(read).map_error(
      [name](const complaint& what) { return to_failure(what, name); });
}

pci::result<settings> load(const std::filesystem::path& file) {
  return read_file(file).and_then([&file](const std::string& text) { return parse(text, file.string()); });
}

} // namespace config
