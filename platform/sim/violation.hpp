// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>

namespace platform::sim {

/// Told what was done that a real Xen would not have survived.
using violation_handler = std::function<void(const std::string&)>;

/// Called where the real Xen would panic the host or crash a domain. Prints the text and aborts, unless a test has
/// installed a handler; then the call that did it fails with EFAULT.
void violation(const std::string& text);

/// Installs a handler (empty: abort again) and returns the one before.
violation_handler set_violation_handler(violation_handler handler);

} // namespace platform::sim
