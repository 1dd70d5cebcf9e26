// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/reload.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "config/reader.hpp"
#include "config/settings.hpp"
#include "tools/pcibackctl/json_text.hpp"

namespace client_program {
namespace {

// control_socket::longest_line, with room for the rest of the request.
constexpr std::size_t longest_settings_request = std::size_t{64} * 1024;

using reload_result = tl::expected<reload_outcome, reload_failure>;

tl::unexpected<reload_failure> not_reloaded(complaint why, std::vector<std::string> mistakes = {}) {
  return tl::unexpected(reload_failure{std::move(why), std::move(mistakes)});
}

std::string reload_request(const char* method, const json& params) {
  return json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
}

/// The file that the daemon was started with.
tl::expected<std::string, complaint> daemons_file(const std::string& socket, const patience& how) {
  return ask(socket, reload_request("version", json::object()), "version", how)
      .and_then([](const std::string& result) -> tl::expected<std::string, complaint> {
        auto file = text_in(json::parse(result, nullptr, false), "settings");
        return file.empty() ? tl::unexpected(complaint{pci::failure_kind::usage, 0,
                                                       "the daemon was started without a file of settings; name one "
                                                       "with --config FILE"})
                            : tl::expected<std::string, complaint>{std::move(file)};
      });
}

complaint unreadable(const pci::failure& why) {
  const bool has_words = why.error == EINVAL || why.error == EFBIG;
  return {pci::failure_kind::failed, why.error, has_words ? why.context : pci::to_string(why)};
}

} // namespace

reload_result run_reload(const std::string& file, const std::string& socket, const patience& how) {
  const auto name = file.empty() ? daemons_file(socket, how) : tl::expected<std::string, complaint>{file};
  if (!name) {
    return not_reloaded(name.error());
  }
  const auto text = config::read_file(*name);
  if (!text) {
    return not_reloaded(unreadable(text.error()));
  }
  auto found = config::examine(*text, *name);
  if (!found.mistakes.empty() || !found.good) {
    const auto count = found.mistakes.size();
    return not_reloaded(
        {pci::failure_kind::failed, EINVAL,
         fmt::format("{} has {} mistake{}; the settings are as they were", *name, count, count == 1 ? "" : "s")},
        std::move(found.mistakes));
  }
  const auto request = reload_request("reload", {{"text", *text}, {"name", *name}});
  if (request.size() > longest_settings_request) {
    return not_reloaded(
        {pci::failure_kind::failed, EFBIG,
         fmt::format("{} is longer than the {} bytes that can be sent to the daemon; restart the daemon instead", *name,
                     longest_settings_request)});
  }
  auto answer = ask(socket, request, "reload", how);
  return answer ? reload_result{reload_outcome{std::move(*answer), std::move(found.warnings)}}
                : not_reloaded(answer.error());
}

pci::result<std::string> reload_text(const std::string& result) {
  const auto parsed = json::parse(result, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("taken") || !parsed.contains("restart")) {
    return pci::fail(EPROTO, "the daemon's answer to reload has a form that this program does not know");
  }
  std::string keys;
  for (const auto& key : list_in(parsed, "taken")) {
    keys += (keys.empty() ? "" : ", ") + (key.is_string() ? printable(key.get<std::string>()) : key.dump());
  }
  auto text = keys.empty() ? std::string{"nothing that can be taken over has changed\n"} : "taken over: " + keys + "\n";
  for (const auto& key : list_in(parsed, "restart")) {
    text += (key.is_string() ? printable(key.get<std::string>()) : key.dump()) + ": needs a restart\n";
  }
  return text;
}

std::string reload_failure_json(const reload_failure& what) {
  auto object = json::parse(json_of(what.why), nullptr, false);
  object["error"]["mistakes"] = what.mistakes;
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace client_program
