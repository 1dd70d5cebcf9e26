// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

struct xentoollog_logger;

namespace platform::xen {

/// A logger for Xen's libraries that says nothing: without one they write to stderr on each failure, and what failed
/// is returned to the caller anyway. Lives as long as the process.
[[nodiscard]] xentoollog_logger* quiet();

} // namespace platform::xen
