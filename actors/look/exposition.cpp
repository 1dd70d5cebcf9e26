// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/exposition.hpp"

#include <fmt/format.h>

namespace actors {
namespace {

// A quotation mark needs it in labels only.
std::string escaped(std::string_view text, bool quoted) {
  std::string out;
  for (const char c : text) {
    switch (c) {
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '"':
      out += quoted ? "\\\"" : "\"";
      break;
    default:
      out += c;
    }
  }
  return out;
}

} // namespace

void exposition::begin(std::string_view name, std::string_view help, std::string_view type) {
  name_ = fmt::format("pcibackd_{}", name);
  text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name_, escaped(help, false), type);
}

// `end`: a class's of a histogram; empty: the sample is no class.
void exposition::line(std::string_view suffix, labels with, std::string_view end, std::string_view value) {
  std::string all;
  for (const auto& [name, text] : with) {
    all += fmt::format("{}{}=\"{}\"", all.empty() ? "" : ",", name, escaped(text, true));
  }
  if (!end.empty()) {
    all += fmt::format("{}le=\"{}\"", all.empty() ? "" : ",", end);
  }
  text_ += fmt::format("{}{}{} {}\n", name_, suffix, all.empty() ? all : "{" + all + "}", value);
}

void exposition::sample(std::uint64_t value, labels with) { line("", with, "", fmt::format("{}", value)); }

void exposition::sample(double value, labels with) { line("", with, "", fmt::format("{}", value)); }

void exposition::sample(std::span<const double> ends, std::span<const std::uint64_t> each, double sum, labels with) {
  std::uint64_t so_far = 0;
  for (std::size_t which = 0; which < each.size(); ++which) {
    so_far += each[which];
    line("_bucket", with, which < ends.size() ? fmt::format("{}", ends[which]) : "+Inf", fmt::format("{}", so_far));
  }
  line("_sum", with, "", fmt::format("{}", sum));
  line("_count", with, "", fmt::format("{}", so_far));
}

} // namespace actors
