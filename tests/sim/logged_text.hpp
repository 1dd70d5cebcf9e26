// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

namespace test {

/// The lines that the daemon logs while one of these lives.
class logged_text {
public:
  logged_text() { spdlog::default_logger()->sinks().push_back(sink_); }
  ~logged_text() { std::erase(spdlog::default_logger()->sinks(), sink_); }
  logged_text(const logged_text&) = delete;
  logged_text& operator=(const logged_text&) = delete;
  [[nodiscard]] auto count() const { return std::ranges::count(text_.str(), '\n'); }
  /// The lines that have `part`, at most once each.
  [[nodiscard]] auto count(const std::string& part) const {
    std::istringstream lines(text_.str());
    long found = 0;
    for (std::string line; std::getline(lines, line);)
      found += line.find(part) != std::string::npos ? 1 : 0;
    return found;
  }
  [[nodiscard]] bool has(const std::string& part) const { return text_.str().find(part) != std::string::npos; }

private:
  std::ostringstream text_;
  spdlog::sink_ptr sink_ = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
};

} // namespace test
