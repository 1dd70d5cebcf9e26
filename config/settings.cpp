#include "config/settings.hpp"

#include <array>

#include "config/reader.hpp"

namespace config {
namespace {

// sockaddr_un's sun_path without its terminating zero.
constexpr std::size_t longest_socket_path = 107;
constexpr std::int64_t least_patience_ms = 100;
constexpr std::int64_t most_patience_ms = 600000;
constexpr std::int64_t most_aer_patience_s = 600;

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

read_result<std::chrono::seconds> as_aer_patience(const value& from) {
  return as_integer(from, 1, most_aer_patience_s).map([](std::int64_t s) { return std::chrono::seconds{s}; });
}

read_result<pci::error_policy> as_error_policy(const value& from) {
  static constexpr std::array<std::string_view, 3> words{"kill", "detach", "log"};
  return as_word(from, words).map([](std::size_t index) { return static_cast<pci::error_policy>(index); });
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

const std::vector<key<settings>>& daemon_keys() {
  static const std::vector<key<settings>> keys{
      {"socket", store<settings>(as_socket, [](auto& into, auto is) { into.socket = std::move(is); })},
      {"log_level", store<settings>(as_level, [](auto& into, auto is) { into.level = is; })},
      {"topology", store<settings>(as_topology, [](auto& into, auto is) { into.topology = is; })},
      {"frontend_patience_ms", store<settings>(as_patience, [](auto& into, auto is) { into.frontend_patience = is; })},
      {"aer_patience_s", store<settings>(as_aer_patience, [](auto& into, auto is) { into.aer_patience = is; })},
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
      {"permissive", flag(&pci::policy::permissive)},
      {"allow_interrupt_control", flag(&pci::policy::allow_interrupt_control)},
      {"msi", flag(&pci::policy::msi)},
      {"msix", flag(&pci::policy::msix)},
      {"aer", store<device>(as_error_policy, [](device& into, auto is) { into.policy.aer = is; })},
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

read_result<settings> read(const value& document) {
  static const std::vector<key<settings>> sections{
      {"daemon", [](const value& from, settings& into) { return read_section(from, daemon_keys(), into); }, false,
       true},
      {"device", read_devices, false, true},
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
