// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/violation.hpp"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace platform::sim {
namespace {

std::mutex guard;

violation_handler& installed() {
  static violation_handler handler;
  return handler;
}

} // namespace

void violation(const std::string& text) {
  violation_handler handler;
  {
    std::lock_guard hold(guard);
    handler = installed();
  }
  if (handler)
    return handler(text);
  std::fprintf(stderr, "violation: %s\n", text.c_str());
  std::abort();
}

violation_handler set_violation_handler(violation_handler handler) {
  std::lock_guard hold(guard);
  return std::exchange(installed(), std::move(handler));
}

} // namespace platform::sim
