// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "pci/address.hpp"
#include "pci/result.hpp"
#include "tools/pcibackctl/outcome.hpp"

namespace client_program {

/// What the administrator asked for.
struct call {
  std::string method;
  std::optional<std::string> domain; ///< number or name
  std::optional<pci::sbdf> address;
  std::optional<bool> seize;
  std::optional<bool> on;
  std::optional<std::string> quirk{}; ///< REG:SIZE:MASK
  std::optional<bool> probe{};
  std::optional<std::string> rdm{}; ///< strict or relaxed
};

/// The request's line, without its end.
[[nodiscard]] std::string request_line(const call& what);

/// The result in an answer's line, as JSON text. A failure has the daemon's errno and the one line for the
/// administrator, which needs no errno after it; EPROTO: the line is no answer.
[[nodiscard]] pci::result<std::string> result_of(const std::string& line);

/// How long an answer is waited for.
struct patience {
  /// Longer than the daemon waits for the hardware and the guest.
  std::chrono::milliseconds limit = std::chrono::seconds{150};
  std::function<void(std::chrono::seconds)> waiting{}; ///< is told once a second, how long it has been; may be empty
};

/// Sends a line to the daemon that serves `socket` and waits for its answer. The failure is one line; ETIMEDOUT: there
/// was no answer in time.
[[nodiscard]] pci::result<std::string> exchange(const std::string& socket, const std::string& line,
                                                const patience& how = {});

/// Both of the above for pcibackctl: the result, or a complaint in the user's words. An error of the protocol's, such
/// as a method that an older daemon does not have, is told without its language.
[[nodiscard]] tl::expected<std::string, complaint> ask(const std::string& socket, const call& what,
                                                       const patience& how = {});
/// The same for a line of one's own, of the method that is named.
[[nodiscard]] tl::expected<std::string, complaint> ask(const std::string& socket, const std::string& line,
                                                       const std::string& method, const patience& how = {});
/// A connection that is asked one thing after the other.
class conversation {
public:
  [[nodiscard]] static pci::result<conversation> open(const std::string& socket);
  conversation(conversation&& from) noexcept;
  conversation& operator=(conversation&&) = delete;
  conversation(const conversation&) = delete;
  conversation& operator=(const conversation&) = delete;
  ~conversation();
  [[nodiscard]] tl::expected<std::string, complaint> ask(const std::string& line, const std::string& method,
                                                         const patience& how = {});

private:
  explicit conversation(int number) : number_(number) {}
  int number_;
};

/// Why `exchange` failed.
[[nodiscard]] complaint unreached(const pci::failure& why);
/// The answer's part of it.
[[nodiscard]] tl::expected<std::string, complaint> read_answer(const std::string& line, const std::string& method);

/// The same, and goes on: hands each line to `each`, the answer first, until that returns false or the daemon closes
/// the connection, which is a failure (ECONNRESET).
[[nodiscard]] pci::result<void> follow(const std::string& socket, const std::string& line,
                                       const std::function<bool(const std::string& line)>& each);

} // namespace client_program
