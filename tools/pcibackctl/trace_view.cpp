// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/format.h>

#include "tools/pcibackctl/trace_view.hpp"

namespace client_program {
namespace {

double microseconds_in(const json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_number() ? found->get<double>() / 1000 : 0;
}

std::int64_t whole_number_in(const json& from, const char* name) {
  const auto found = from.is_object() ? from.find(name) : from.end();
  return found != from.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

/// "0a4/2", or what cannot be an offset in decimal digits.
std::string place_of(const json& operation) {
  const auto offset = whole_number_in(operation, "offset"), size = whole_number_in(operation, "size");
  return offset >= 0 && offset <= 0xfff ? fmt::format("{:03x}/{}", offset, size) : fmt::format("{}/{}", offset, size);
}

} // namespace

bool is_of_kind(const json& operation, const std::vector<std::string>& kinds) {
  const auto what = text_in(operation, "operation");
  return kinds.empty() || std::ranges::any_of(kinds, [&](const std::string& kind) {
           return kind == "reads"    ? what == "conf_read"
                  : kind == "writes" ? what == "conf_write"
                  : kind == "errors" ? text_in(operation, "error") != "success"
                                     : what != "conf_read" && what != "conf_write";
         });
}

std::string operation_line(const json& operation) {
  const auto function = text_in(operation, "function"), guest = text_in(operation, "guest");
  const auto what = text_in(operation, "operation");
  const bool accesses = what == "conf_read" || what == "conf_write";
  const auto vectors = whole_number_in(operation, "vectors");
  const auto time = text_in(operation, "time").substr(0, 26); // microseconds
  return fmt::format("{}Z  {:<16}  {:<14}  {:<12}  {:<8}  {:<34}  {:>8}  {:<15}  {:.1f} us\n", time,
                     guest.empty() ? "domain " + text_in(operation, "domain") : guest,
                     function.empty() ? "(" + text_in(operation, "virtual_address") + ")" : function,
                     what == "other" ? "code " + text_in(operation, "code") : what,
                     accesses ? place_of(operation) : "-",
                     accesses       ? text_in(operation, "register")
                     : vectors != 0 ? fmt::format("{} vectors", vectors)
                                    : std::string{},
                     text_in(operation, "value"), text_in(operation, "error"), microseconds_in(operation, "took_ns"));
}

std::string loss_line(std::uint64_t lost) {
  return fmt::format("{} operations are missing here: they came faster than they could be sent\n", lost);
}

std::string loss_json(std::uint64_t lost) { return json{{"lost", lost}}.dump() + "\n"; }

} // namespace client_program
