// SPDX-License-Identifier: GPL-2.0-or-later
// A function's way from the settings to its guest's driver, a line a station; stations with nothing to say are left
// out.
#include <cerrno>

#include <fmt/format.h>

#include "tools/pcibackctl/json_text.hpp"
#include "tools/pcibackctl/table.hpp"

namespace client_program {
namespace {

/// The lines of one function: "  name        text".
class stations {
public:
  void add(std::string_view name, const std::string& text) {
    if (!text.empty()) {
      text_ += fmt::format("  {:<10}  {}\n", name, text);
    }
  }
  [[nodiscard]] const std::string& text() const { return text_; }

private:
  std::string text_;
};

/// Parts that are not empty, with commas.
std::string joined(std::initializer_list<std::string> parts, std::string_view between = ", ") {
  std::string text;
  for (const auto& part : parts) {
    if (!part.empty()) {
      text += (text.empty() ? "" : std::string{between}) + part;
    }
  }
  return text;
}

std::string if_any(const std::string& text, std::string_view format) {
  return text.empty() ? text : fmt::format(fmt::runtime(format), text);
}

std::string counted(const json& from, const char* name, std::string_view format) {
  const auto text = text_in(from, name);
  return text.empty() || text == "0" ? std::string{} : fmt::format(fmt::runtime(format), text);
}

std::string settings_text(const json& function) {
  const auto& settings = object_in(function, "settings");
  const auto& assigned = object_in(settings, "assigned");
  const auto hold = !flag_in(settings, "configured") ? std::string{"no [[device]] matches it"}
                    : !flag_in(settings, "hold")     ? std::string{"not to be held at the start"}
                    : flag_in(settings, "seize")     ? std::string{"held at the start, from whatever driver has it"}
                                                     : std::string{"held at the start"};
  const auto domain = text_in(assigned, "domain"), guest = text_in(assigned, "guest");
  const auto who = guest.empty()    ? std::string{}
                   : domain.empty() ? fmt::format("assigned to \"{}\", which does not run", guest)
                                    : fmt::format("assigned to \"{}\" (domain {})", guest, domain);
  return joined({hold, who, if_any(text_in(settings, "pin_mismatch"), "pin: {}"), text_in(settings, "objection")},
                "; ");
}

std::string host_text(const json& function) {
  const auto& host = object_in(function, "host");
  if (!flag_in(host, "there")) {
    return "no function at this address";
  }
  const auto driver = text_in(host, "driver");
  return joined({driver.empty() ? std::string{"no driver of dom0's"} : "driver " + driver,
                 if_any(text_in(host, "previous_driver"), "taken from {}")});
}

std::string state_text(const json& function) {
  const auto& status = object_in(function, "status");
  const auto state = text_in(status, "state");
  return state.empty()
             ? std::string{"not held"}
             : joined({text_in(status, "power") == "d3" ? state + ", in D3 until somebody gets it" : state,
                       text_in(status, "detail"), flag_in(status, "reserved") ? "for its last guest alone" : ""},
                      ": ");
}

std::string guest_text(const json& function) {
  const auto& guest = object_in(function, "guest");
  const auto& status = object_in(function, "status");
  if (text_in(guest, "words").empty()) {
    return if_any(text_in(status, "domain"), "domain {}");
  }
  const auto at = text_in(status, "virtual_address");
  return joined({text_in(guest, "words"), flag_in(guest, "hvm") ? "HVM" : "", flag_in(guest, "paused") ? "paused" : "",
                 flag_in(guest, "ended") ? "shut down" : "", if_any(at, "sees it at {}")});
}

std::string xenbus_text(const json& function) {
  const auto& guest = object_in(function, "guest");
  const auto& served = object_in(guest, "served");
  const auto backend = text_in(served, "state");
  return joined({if_any(backend, "backend {}"), if_any(text_in(served, "frontend"), "frontend {}"),
                 if_any(text_in(served, "frontend_error"), "the frontend says: {}"),
                 if_any(text_in(guest, "backend_error"), "pcibackd says: {}")});
}

std::string vectors_text(const json& function) {
  const auto& status = object_in(function, "status");
  const auto& guest = object_in(function, "guest");
  std::string pirqs;
  for (const auto& vector : list_in(status, "vectors")) {
    pirqs = joined({pirqs, text_in(vector, "pirq")}, " ");
  }
  const auto limit = text_in(guest, "vector_limit");
  if (text_in(status, "domain").empty()) {
    return {};
  }
  return joined({text_in(status, "mode"), if_any(pirqs, "pirq {}"),
                 limit.empty() || limit == "0"
                     ? std::string{}
                     : fmt::format("the guest uses {} of {}", text_in(guest, "vectors"), limit)});
}

std::string line_text(const json& function) {
  const auto& status = object_in(function, "status");
  const auto& line = object_in(status, "line");
  const auto gsi = text_in(status, "gsi");
  if (gsi.empty() || gsi == "0") {
    return {};
  }
  std::string guests;
  for (const auto& one : list_in(status, "line_guests")) {
    guests = joined({guests, one.dump()});
  }
  const auto danger = text_in(line, "danger");
  return joined({fmt::format("line {}", gsi), if_any(text_in(line, "decision"), "decision {}"),
                 counted(line, "acknowledged", "{} acknowledged"), counted(line, "spurious", "{} claimed by nobody"),
                 counted(line, "storms", "{} storms"), if_any(guests, "shared with domain {}"),
                 danger == "none" ? std::string{} : if_any(danger, "danger: {}")});
}

std::string sharers_text(const json& sharers) {
  std::string text;
  for (const auto& each : sharers) {
    const auto driver = text_in(each, "driver");
    const auto owner = joined({driver, text_in(each, "guest")});
    text = joined({text, text_in(each, "address") + if_any(owner, " ({})")});
  }
  return text;
}

std::string resets_text(const json& function) {
  std::string text;
  for (const auto& option : list_in(object_in(function, "host"), "resets")) {
    std::string hits;
    for (const auto& one : list_in(option, "hits")) {
      hits = joined({hits, one.is_string() ? printable(one.get<std::string>()) : ""}, " ");
    }
    text = joined({text, text_in(option, "method") + if_any(hits, " (hits {})")});
  }
  return flag_in(object_in(function, "host"), "there") && text.empty() ? std::string{"it cannot be reset"} : text;
}

std::string regions_text(const json& function) {
  std::string text;
  for (const auto& region : list_in(object_in(function, "host"), "reserved")) {
    std::string users;
    for (const auto& one : list_in(region, "functions")) {
      const auto address = one.is_string() ? printable(one.get<std::string>()) : std::string{};
      users = address == text_in(function, "address") ? users : joined({users, address}, " ");
    }
    text = joined(
        {text, fmt::format("{}-{}", text_in(region, "first"), text_in(region, "last")) + if_any(users, " with {}")});
  }
  return text;
}

std::string errors_text(const json& function) {
  const auto& errors = object_in(object_in(function, "status"), "errors");
  return joined({counted(errors, "corrected", "{} corrected"), counted(errors, "nonfatal", "{} nonfatal"),
                 counted(errors, "fatal", "{} fatal"), counted(errors, "recovered", "{} recovered"),
                 counted(errors, "failed", "{} not recovered"), if_any(text_in(errors, "last"), "the last: {}")});
}

std::string work_text(const json& function) {
  const auto& status = object_in(function, "status");
  const auto& registers = object_in(function, "registers");
  return joined({counted(status, "operations", "{} operations"),
                 counted(status, "refused", "{} answered with an error"),
                 counted(registers, "refused", "{} writes refused")});
}

std::string heading_of(const json& function, const card_namer& names) {
  const auto& host = object_in(function, "host");
  const auto vendor = text_in(host, "vendor"), device = text_in(host, "device");
  const auto name = names ? names(vendor, device) : std::string{};
  const auto ids = flag_in(host, "there") ? fmt::format("[{}:{}]", vendor, device) : std::string{};
  return joined({text_in(function, "address"), name, ids}, "  ") + "\n";
}

std::string text_of_function(const json& function, const card_namer& names) {
  stations all;
  const auto& host = object_in(function, "host");
  all.add("settings", settings_text(function));
  all.add("host", host_text(function));
  all.add("state", state_text(function));
  all.add("guest", guest_text(function));
  all.add("xenbus", xenbus_text(function));
  all.add("vectors", vectors_text(function));
  all.add("interrupts", line_text(function));
  all.add("work", work_text(function));
  all.add("resets", resets_text(function));
  all.add(flag_in(host, "there") ? "slot" : "bus", sharers_text(list_in(host, "slot_mates")));
  all.add("pages", if_any(sharers_text(list_in(host, "page_mates")), "shared with {}"));
  all.add("RMRR", regions_text(function));
  all.add("errors", errors_text(function));
  for (const auto& note : list_in(object_in(function, "status"), "notes")) {
    all.add("note", note.is_string() ? printable(note.get<std::string>()) : "");
  }
  for (const auto& trouble : list_in(function, "troubles")) {
    all.add("trouble", fmt::format("{} s ago: {}", text_in(trouble, "seconds_ago"), text_in(trouble, "what")));
  }
  return heading_of(function, names) + all.text();
}

std::string verdict_text(const json& verdict, const view& how) {
  const auto kind = text_in(verdict, "kind");
  const bool good = kind == "works" || kind == "free";
  const auto text = text_in(verdict, "text") + ".";
  const auto command = text_in(verdict, "command");
  const auto* colour = good ? "\x1b[32m" : "\x1b[31m";
  return fmt::format("verdict: {}{}{}\n", how.colour ? colour : "", text, how.colour ? "\x1b[0m" : "") +
         (command.empty() ? std::string{} : fmt::format("    {}\n", command));
}

} // namespace

pci::result<std::string> explanation_of(const std::string& result, const view& how, const card_namer& names) {
  const auto parsed = json::parse(result, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("functions") || object_in(parsed, "verdict").empty()) {
    return pci::fail(EPROTO, "the daemon's explanation has a form that this program does not know; use --json");
  }
  std::string text;
  if (const auto asked = text_in(parsed, "asked"); !asked.empty()) {
    const auto words = text_in(object_in(parsed, "guest"), "words");
    text = (words.empty() ? fmt::format("\"{}\" does not run", asked) : words) + "\n\n";
  }
  for (const auto& function : list_in(parsed, "functions")) {
    text += text_of_function(function, names) + "\n";
  }
  return text + verdict_text(parsed["verdict"], how);
}

} // namespace client_program
