// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <caf/error.hpp>

#include "pci/result.hpp"

namespace messages {

/// A failure as an actor's answer: category "pcibackd", the errno as code, the words as context.
[[nodiscard]] caf::error to_error(const pci::failure& what);

/// The other way; CAF's own errors (time-out, receiver gone) become ETIMEDOUT, ECANCELED or EPROTO with `context` in
/// front.
[[nodiscard]] pci::failure to_failure(const caf::error& what, const std::string& context);

} // namespace messages
