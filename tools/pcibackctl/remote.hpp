// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pci/result.hpp"

/// The same command on another host, by ssh.
namespace client_program {

/// A word as a POSIX shell reads it back: as it is when that is safe, else in single quotes.
[[nodiscard]] std::string shell_quoted(const std::string& word);

/// What to execute for `pcibackctl WORDS` on `host`, without `-H`, `--host` and their value among the words. With
/// `terminal` the remote side gets one, too, so that it knows the width, and what Ctrl-C ends. EINVAL: no host is
/// called so; ssh would take it for an option.
[[nodiscard]] pci::result<std::vector<std::string>> remote_command(const std::string& host,
                                                                   std::span<const std::string> words, bool terminal);

} // namespace client_program
