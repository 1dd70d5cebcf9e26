// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp> // std::expected's stand-in until C++23

namespace pci {

/// Why something could not be done: an errno value (Xen's numbers are Linux's) and the words that say what and where.
struct failure {
  int error = 0;       ///< positive errno value
  std::string context; ///< one line, no trailing full stop, without the errno's own text

  friend bool operator==(const failure&, const failure&) = default;
};

template <class T>
using result = tl::expected<T, failure>;

/// Makes the failing half of a `result`.
[[nodiscard]] inline tl::unexpected<failure> fail(int error, std::string context) {
  return tl::unexpected<failure>(failure{error, std::move(context)});
}

/// Renders "context: strerror (errno)".
[[nodiscard]] std::string to_string(const failure& what);

} // namespace pci
