// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/failure_kind.hpp"

/// How a command of pcibackctl ends.
namespace client_program {

/// The exit codes, which scripts rely on: they do not change. 130 (128 + SIGINT) is the shell's own convention; 255 is
/// ssh's, with `-H`.
enum class exit_code : int {
  success = 0,
  failed = 1,    ///< it was tried, and did not succeed
  usage = 2,     ///< the command line is wrong; nothing was tried
  no_daemon = 3, ///< nobody serves the socket
  refused = 4,   ///< a rule forbids it: a setting, Xen, the card, or who may use the socket
  busy = 5,      ///< somebody has the function, or it is being worked on
  absent = 6,    ///< no such function, no such guest, or the function is not held
  timed_out = 7, ///< no answer in the time given; the daemon may go on with it
  interrupted = 130,
};
[[nodiscard]] exit_code exit_code_of(pci::failure_kind kind);

/// Why a command did not succeed.
struct complaint {
  pci::failure_kind kind = pci::failure_kind::failed;
  int error = 0;    ///< the daemon's errno; 0: it has none
  std::string text; ///< one line in the user's words, without an end
};

/// "pcibackctl: <text>" and the end of the line; what is not printable is shown as "?".
[[nodiscard]] std::string line_of(const complaint& why);
/// {"error":{"kind":"busy","exit":5,"errno":"EBUSY","message":"..."}} and the end of the line: what `--json` writes to
/// standard output instead of a result. `errno` is null where there is none.
[[nodiscard]] std::string json_of(const complaint& why);

/// The complaint says that what was wanted is so already: that is a success.
[[nodiscard]] bool is_so_already(const std::string& method, const complaint& why);
/// {"already":true,"message":"..."} and the end of the line.
[[nodiscard]] std::string already_json(const complaint& why);

} // namespace client_program
