// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include "tools/pcibackctl/json_text.hpp"
#include "tools/pcibackctl/overview.hpp"
#include "tools/pcibackctl/table.hpp"

namespace client_program {
namespace {

const std::vector<column> list_columns{{"Vdev", 2},        {"Device"},  {"Guest"},          {"State"},    {"Xenbus", 4},
                                       {"Driver", 5},      {"Mode", 6}, {"Vectors", 7},     {"Guard", 9}, {"Writes", 8},
                                       {"Operations", 10}, {"Name", 3}, {"Detail", 0, true}};

tint tint_of(const std::string& state) {
  if (state == "leased") {
    return tint::good;
  }
  const bool bad = state == "failed" || state == "gone" || state == "refused" || state == "absent";
  return bad                                                                   ? tint::bad
         : state == "not held" || state == "inherited" || state == "scrubbing" ? tint::odd
                                                                               : tint::plain;
}

// xl shows the slot and the function alone: a PV guest's virtual bus is 0000:00 but with the passthrough topology.
std::string vdev_of(const json& function) {
  const auto text = text_in(function, "virtual_address");
  constexpr std::string_view virtual_bus = "0000:00:";
  return text.starts_with(virtual_bus) ? text.substr(virtual_bus.size()) : text;
}

std::string vectors_of(const json& function) {
  const auto& vectors = list_in(function, "vectors");
  return vectors.empty() ? std::string{} : std::to_string(vectors.size());
}

/// The states of both ends; one word when all is well.
std::string ends_of(const json& overview, const json& function) {
  const auto number = text_in(function, "domain"); // it outlives what is found by it, which newer compilers want to see
  const auto& domain = domain_of(overview, number);
  const auto backend = text_in(domain, "state"), frontend = text_in(domain, "frontend");
  return backend.empty()       ? std::string{}
         : backend == frontend ? backend
                               : fmt::format("{}/{}", backend, frontend.empty() ? "-" : frontend);
}

std::string name_of(const json& function, const card_namer& names) {
  return names ? names(text_in(function, "vendor"), text_in(function, "device")) : std::string{};
}

std::string with(std::string text, const std::string& more) {
  return text.empty() || more.empty() ? text + more : text + "; " + more;
}

row held_row(const json& overview, const json& function, const card_namer& names, const std::string& unmet) {
  const auto guard = text_in(function, "guard");
  const auto state = text_in(function, "state");
  return {vdev_of(function),
          text_in(function, "address"),
          guest_of(overview, function),
          {text_in(function, "power") == "d3" ? state + ", D3" : state, tint_of(state)},
          ends_of(overview, function),
          text_in(function, "driver"),
          text_in(function, "mode"),
          vectors_of(function),
          guard == "none" ? "" : guard,
          text_in(function, "writes"),
          text_in(function, "operations"),
          name_of(function, names),
          with(text_in(function, "detail"), unmet)};
}

row unheld_row(const std::string& address, const std::string& guest, const std::string& state,
               const std::string& driver, const std::string& why) {
  return {"", address, guest, {state, tint_of(state)}, "", driver, "", "", "", "", "", "", why};
}

// Of a function that has a line of its own: whom it is to be given to. `why` may repeat the detail.
std::string wish_of(const json& wish, const std::string& detail) {
  const auto guest = text_in(wish, "guest"), why = text_in(wish, "why");
  const auto whom = guest.empty() ? std::string{} : fmt::format("assigned to \"{}\"", guest);
  return why == detail || text_in(wish, "gap") == "absent" ? whom : whom.empty() ? why : whom + ": " + why;
}

/// What has no room in a row.
std::string remarks_of(const json& overview) {
  std::string text;
  for (const auto& function : list_in(overview, "functions")) {
    for (const auto& note : list_in(function, "notes")) {
      text += fmt::format("{}: {}\n", text_in(function, "address"),
                          note.is_string() ? printable(note.get<std::string>()) : "");
    }
  }
  for (const auto& domain : list_in(overview, "domains")) {
    if (const auto error = text_in(domain, "frontend_error"); !error.empty()) {
      text += fmt::format("{}: its frontend says: {}\n", guest_words(overview, text_in(domain, "domain")), error);
    }
  }
  return text.empty() ? text : "\n" + text;
}

struct wishes {
  std::map<std::string, std::string> of_rows; ///< by address
  std::vector<row> rows;
};

wishes wishes_of(const json& overview) {
  wishes all;
  for (const auto& wish : list_in(overview, "unmet")) {
    const auto address = text_in(wish, "address");
    const auto& functions = list_in(overview, "functions");
    const auto own =
        std::ranges::find_if(functions, [&](const json& function) { return text_in(function, "address") == address; });
    if (own != functions.end()) {
      auto& text = all.of_rows[address];
      text = with(text, wish_of(wish, text_in(*own, "detail")));
      continue;
    }
    const auto gap = text_in(wish, "gap");
    all.rows.push_back(unheld_row(address, text_in(wish, "guest"), gap == "not-held" ? "not held" : gap,
                                  text_in(wish, "driver"), text_in(wish, "why")));
  }
  return all;
}

} // namespace

pci::result<std::string> table_of(const std::string& result, const view& how, const card_namer& names) {
  return parse_overview(result).map([&](const json& overview) {
    auto wishes = wishes_of(overview);
    std::vector<row> rows;
    for (const auto& function : overview["functions"]) {
      rows.push_back(held_row(overview, function, names, wishes.of_rows[text_in(function, "address")]));
    }
    rows.insert(rows.end(), wishes.rows.begin(), wishes.rows.end());
    std::ranges::stable_sort(rows, {}, [](const row& each) { return each[1].text; });
    for (const auto& name : list_in(overview, "beyond_xen")) {
      rows.push_back(unheld_row(name.is_string() ? printable(name.get<std::string>()) : "", "", "refused", "",
                                "beyond Xen, which knows segments up to ffff (Intel VMD)"));
    }
    return rows.empty() ? std::string{"no functions are held\n"}
                        : render(list_columns, std::move(rows), how) + remarks_of(overview);
  });
}

} // namespace client_program
