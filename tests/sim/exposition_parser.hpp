// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <tl/expected.hpp>

/// Reads Prometheus' text form, version 0.0.4, as strictly as it is written down, and knows nothing of who wrote it.
/// Source: prometheus.io/docs/instrumenting/exposition_formats.
namespace test {

struct exposed_sample {
  std::string name; ///< with a histogram's suffix
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct exposed_family {
  std::string help;
  std::string type;
  std::vector<exposed_sample> samples;
};

using exposed = std::map<std::string, exposed_family>;

class exposition_parser {
public:
  /// What is wrong is told with the number of its line.
  [[nodiscard]] static tl::expected<exposed, std::string> parse(std::string_view text) {
    exposition_parser reader;
    if (!text.empty() && text.back() != '\n') {
      return tl::unexpected<std::string>("the last line has no end");
    }
    std::size_t number = 0;
    while (!text.empty()) {
      const auto end = text.find('\n');
      ++number;
      reader.line_ = text.substr(0, end);
      text.remove_prefix(end + 1);
      reader.read_line();
      if (!reader.wrong_.empty()) {
        return tl::unexpected(fmt::format("line {}: {}", number, reader.wrong_));
      }
    }
    reader.check_histograms();
    return reader.wrong_.empty() ? tl::expected<exposed, std::string>(reader.all_) : tl::unexpected(reader.wrong_);
  }

private:
  static bool is_name(std::string_view text, bool colons) {
    const auto fits = [colons](char c, bool first) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':') ||
             (!first && c >= '0' && c <= '9');
    };
    bool first = true;
    for (const char c : text) {
      if (!fits(c, std::exchange(first, false))) {
        return false;
      }
    }
    return !text.empty();
  }

  void complain(std::string what) {
    if (wrong_.empty()) {
      wrong_ = std::move(what);
    }
  }

  void read_line() {
    if (line_.starts_with("# HELP ")) {
      return read_comment(line_.substr(7), true);
    }
    if (line_.starts_with("# TYPE ")) {
      return read_comment(line_.substr(7), false);
    }
    if (!line_.empty() && line_.front() != '#') {
      read_sample();
    }
  }

  void read_comment(std::string_view rest, bool help) {
    const auto space = rest.find(' ');
    const std::string name{rest.substr(0, space)};
    if (space == std::string_view::npos || !is_name(name, true)) {
      return complain("no name of a metric, or nothing after it");
    }
    const auto text = rest.substr(space + 1);
    if (name != family_) {
      if (all_.contains(name)) {
        return complain(name + " begins twice");
      }
      family_ = name;
    }
    auto& family = all_[name];
    auto& into = help ? family.help : family.type;
    if (!into.empty() || !family.samples.empty()) {
      return complain(name + ": its HELP or TYPE stands twice, or after its samples");
    }
    if (!help && !std::set<std::string_view>{"counter", "gauge", "histogram", "summary", "untyped"}.contains(text)) {
      return complain("no such type");
    }
    into = help ? unescape(text, false) : std::string{text};
  }

  std::string unescape(std::string_view text, bool quoted) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '\\') {
        out += text[at];
        continue;
      }
      const char next = ++at < text.size() ? text[at] : '\0';
      if (next == 'n') {
        out += '\n';
      } else if (next == '\\' || (quoted && next == '"')) {
        out += next;
      } else {
        complain("a backslash before something else");
      }
    }
    return out;
  }

  /// {a="b",c="d"}: what is left of the line after it.
  std::string_view read_labels(std::string_view rest, exposed_sample& into) {
    rest.remove_prefix(1);
    while (wrong_.empty() && !rest.empty() && rest.front() != '}') {
      const auto equals = rest.find("=\"");
      const std::string name{rest.substr(0, equals)};
      if (equals == std::string_view::npos || !is_name(name, false)) {
        complain("no label");
        return rest;
      }
      rest.remove_prefix(equals + 2);
      std::size_t end = 0;
      while (end < rest.size() && rest[end] != '"') {
        end += rest[end] == '\\' ? 2 : 1;
      }
      if (end >= rest.size()) {
        complain("a label's value does not end");
        return rest;
      }
      if (!into.labels.emplace(name, unescape(rest.substr(0, end), true)).second) {
        complain("a label stands twice");
      }
      rest.remove_prefix(end + 1);
      if (rest.starts_with(",")) {
        rest.remove_prefix(1);
      } else if (!rest.starts_with("}")) {
        complain("no comma after a label");
      }
    }
    if (rest.empty()) {
      complain("the labels do not end");
      return rest;
    }
    rest.remove_prefix(1);
    return rest;
  }

  void read_sample() {
    exposed_sample sample;
    auto rest = line_;
    const auto end = rest.find_first_of("{ ");
    sample.name = rest.substr(0, end);
    if (end == std::string_view::npos || !is_name(sample.name, true)) {
      return complain("no name of a metric");
    }
    rest.remove_prefix(end);
    if (rest.front() == '{') {
      rest = read_labels(rest, sample);
    }
    if (!rest.starts_with(" ")) {
      return complain("no space before the value");
    }
    const std::string value{rest.substr(1)};
    std::size_t used = 0;
    try {
      sample.value = std::stod(value, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used == 0 || used != value.size()) {
      return complain("no number: " + value);
    }
    keep(std::move(sample));
  }

  void keep(exposed_sample sample) {
    auto& family = all_[family_];
    const auto rest = sample.name.starts_with(family_) ? sample.name.substr(family_.size()) : "?";
    const bool fits =
        family.type == "histogram" ? rest == "_bucket" || rest == "_sum" || rest == "_count" : rest.empty();
    if (family_.empty() || !fits) {
      return complain(sample.name + " stands outside its family");
    }
    for (const auto& other : family.samples) {
      if (other.name == sample.name && other.labels == sample.labels) {
        return complain(sample.name + " stands twice with the same labels");
      }
    }
    if (family.type == "counter" && (sample.value < 0 || !family_.ends_with("_total"))) {
      return complain(sample.name + " is no good counter");
    }
    family.samples.push_back(std::move(sample));
  }

  // The classes rise, and the last has no end and is the count.
  void check_histograms() {
    for (const auto& [name, family] : all_) {
      if (family.help.empty() || family.type.empty()) {
        complain(name + " has no HELP or no TYPE");
      }
      if (family.type == "histogram") {
        check_histogram(name, family);
      }
    }
  }

  void check_histogram(const std::string& name, const exposed_family& family) {
    struct one {
      std::map<double, double> classes;
      int sums = 0;
      double count = -1;
    };
    std::map<std::map<std::string, std::string>, one> each;
    for (const auto& sample : family.samples) {
      auto labels = sample.labels;
      const auto end = labels.extract("le");
      auto& into = each[labels];
      if (sample.name.ends_with("_bucket")) {
        if (end.empty()) {
          return complain(name + ": a class without its end");
        }
        into.classes[std::stod(end.mapped())] = sample.value;
      } else {
        sample.name.ends_with("_sum") ? void(++into.sums) : void(into.count = sample.value);
      }
    }
    for (const auto& [labels, is] : each) {
      double last = 0;
      for (const auto& [end, count] : is.classes) {
        if (count < last) {
          return complain(name + ": its classes are not cumulative");
        }
        last = count;
      }
      if (is.classes.empty() || is.classes.rbegin()->first <= 1e300 || is.sums != 1 || is.count != last) {
        return complain(name + ": no class without an end, no sum, or another count than that class");
      }
    }
  }

  std::string_view line_;
  std::string family_;
  std::string wrong_;
  exposed all_;
};

} // namespace test
