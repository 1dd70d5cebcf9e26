// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "tools/pcibackctl/client.hpp"

namespace client_program {

/// What came of `reload`, to be printed.
struct reload_outcome {
  std::string result;                ///< the daemon's, as JSON
  std::vector<std::string> warnings; ///< about the file
};
/// All that is wrong with the file, or the one thing that went wrong.
struct reload_failure {
  complaint why;
  std::vector<std::string> mistakes; ///< a line each, "FILE:LINE:COLUMN: ..."; empty: it is not the file
};

/// Has the daemon take over a file of settings: `file`, or when that is empty the one that it was started with. The
/// file is read and checked here, as `pcibackd --check-config` does, and its text sent: the daemon opens no files.
[[nodiscard]] tl::expected<reload_outcome, reload_failure> run_reload(const std::string& file,
                                                                      const std::string& socket, const patience& how);

/// The result as a text: what holds now, then a line for each that needs a restart. EPROTO: it is no such result.
[[nodiscard]] pci::result<std::string> reload_text(const std::string& result);

/// The one object for `--json`, with the end of the line.
[[nodiscard]] std::string reload_failure_json(const reload_failure& what);

} // namespace client_program
