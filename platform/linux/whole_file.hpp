// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string_view>

#include <sys/types.h>

#include "pci/result.hpp"

namespace platform::linux_host {

/// Writes a file that is to take another's place by a rename: made anew, never through a link, with `mode` as far as
/// the umask lets it. When it fails nothing of it is left, for where there is no space it would take some. The failure
/// says "open FILE" or "write FILE".
[[nodiscard]] pci::result<void> write_whole(const std::filesystem::path& file, std::string_view text, mode_t mode);

} // namespace platform::linux_host
