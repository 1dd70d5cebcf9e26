// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/events_view.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/pcibackctl/json_text.hpp"

namespace client_program {
namespace {

using event_document = nlohmann::ordered_json;

std::string field_of(const event_document& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_string() ? printable(*found->get_ptr<const std::string*>()) : std::string{};
}

/// The guest's name, or the number of one that has none yet.
std::string whose(const event_document& from) {
  auto guest = field_of(from, "guest");
  const auto domain = from.find("domain");
  return guest.empty() && domain != from.end() && domain->is_number() ? fmt::format("domain {}", domain->dump())
                                                                      : guest;
}

pci::result<event_document> parse_event(const std::string& line) {
  const auto notification = event_document::parse(line, nullptr, false);
  const auto params = notification.is_object() ? notification.find("params") : notification.end();
  if (!notification.is_object() || params == notification.end() || !params->is_object() || !params->contains("event")) {
    return pci::fail(EPROTO, "the daemon sent something that is not an event");
  }
  return *params;
}

} // namespace

pci::result<std::string> event_json(const std::string& line) {
  return parse_event(line).map([](const event_document& event) {
    return event.dump(-1, ' ', false, event_document::error_handler_t::replace) + "\n";
  });
}

pci::result<std::string> event_line(const std::string& line) {
  return parse_event(line).map([](const event_document& event) {
    if (event["event"] == "lost") {
      return fmt::format("{} events were lost: this program did not read them in time\n",
                         event.contains("count") ? event["count"].dump() : "some");
    }
    const auto function = field_of(event, "function");
    auto text = fmt::format("{}  {:<12}", field_of(event, "time"), field_of(event, "event"));
    for (const auto& part : {function, whose(event), field_of(event, "detail")}) {
      text += part.empty() ? "" : "  " + part;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  });
}

pci::result<std::string> metrics_of_result(const std::string& result) {
  const auto parsed = event_document::parse(result, nullptr, false);
  const auto text = parsed.is_object() ? parsed.find("text") : parsed.end();
  if (!parsed.is_object() || text == parsed.end() || !text->is_string()) {
    return pci::fail(EPROTO, "the daemon's metrics have another form than this program knows");
  }
  return *text->get_ptr<const std::string*>();
}

} // namespace client_program
