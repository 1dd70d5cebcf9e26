// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace actors {

/// Writes Prometheus' text form (version 0.0.4): families of samples, each with its HELP and TYPE line. What stands in
/// labels and help is escaped as the form wants it. Source: prometheus.io/docs/instrumenting/exposition_formats.
class exposition {
public:
  using label = std::pair<std::string_view, std::string>;
  using labels = std::initializer_list<label>;

  /// Begins a family; `name` without the prefix, which all have. The samples of one family come one after the other.
  void counter(std::string_view name, std::string_view help) { begin(name, help, "counter"); }
  void gauge(std::string_view name, std::string_view help) { begin(name, help, "gauge"); }
  void histogram(std::string_view name, std::string_view help) { begin(name, help, "histogram"); }

  /// A sample of the family that was begun last.
  void sample(std::uint64_t value, labels with = {});
  void sample(double value, labels with = {});
  /// All samples of a histogram: how many were in each class, which ends where `ends` says, and in one more without an
  /// end; and what all came to.
  void sample(std::span<const double> ends, std::span<const std::uint64_t> each, double sum, labels with = {});

  [[nodiscard]] std::string take() { return std::move(text_); }

private:
  void begin(std::string_view name, std::string_view help, std::string_view type);
  void line(std::string_view suffix, labels with, std::string_view end, std::string_view value);

  std::string name_; ///< of the family
  std::string text_;
};

} // namespace actors
