// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "messages/explanation.hpp"
#include "pci/address.hpp"
#include "pci/result.hpp"

namespace actors {

/// What could not be done for a function lately, kept for `explain`: an administrator looks hours after the log line.
/// Thread-safe. The latest few of each of so many functions; both are bounded.
class troubles {
public:
  static constexpr std::size_t kept = 8;        ///< of one function
  static constexpr std::size_t functions = 256; ///< the others' are not kept

  /// The same words again only make them younger. `now`: of the host's clock. `error`: an errno; 0: unknown.
  void note(const pci::sbdf& address, std::chrono::nanoseconds now, std::string what, int error = 0);
  /// What was wanted has succeeded.
  void forget(const pci::sbdf& address);
  /// The latest stands last.
  [[nodiscard]] std::vector<messages::trouble> of(const pci::sbdf& address, std::chrono::nanoseconds now) const;

private:
  struct entry {
    std::chrono::nanoseconds when{};
    std::string what;
    int error = 0;
  };
  mutable std::mutex mutex_;
  std::map<pci::sbdf, std::deque<entry>> all_;
};

} // namespace actors
