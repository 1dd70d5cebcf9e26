// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <memory>

#include "platform/descriptor.hpp"
#include "platform/records.hpp"

namespace platform::linux_host {

/// The file that lasting words lie in, made when it is not there, for root alone. All of its room is taken, so that no
/// write to its memory can fail: ENOSPC when there is none.
[[nodiscard]] pci::result<descriptor> open_word_file(const std::filesystem::path& file);

/// Its words, for as long as the result lives; the descriptor is not needed for that. EINVAL: the file is too short.
[[nodiscard]] pci::result<std::shared_ptr<lasting_words>> map_word_file(const descriptor& file);

} // namespace platform::linux_host
