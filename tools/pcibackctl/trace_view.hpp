// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pci/result.hpp"
#include "tools/pcibackctl/json_text.hpp"

namespace client_program {

// Operations of guests, as the result of `trace` has them.

/// "reads", "writes", "interrupts" (what switches MSI and MSI-X), "errors": what a trace may be narrowed down to.
inline constexpr std::array<std::string_view, 4> trace_kinds{"reads", "writes", "interrupts", "errors"};
/// It is of one of these kinds; of no kinds every one is.
[[nodiscard]] bool is_of_kind(const json& operation, const std::vector<std::string>& kinds);

/// For people, with its end: when, who, which function, what, which register, the value, how it went, how long it took.
[[nodiscard]] std::string operation_line(const json& operation);
/// What stands where operations are missing.
[[nodiscard]] std::string loss_line(std::uint64_t lost);
[[nodiscard]] std::string loss_json(std::uint64_t lost);

// A file for Wireshark, in the form pcapng (draft-ietf-opsawg-pcapng) with the link type USER0 (147). What each packet
// holds is in docs/trace-format.md, and in the dissector.

/// The blocks that a file begins with.
[[nodiscard]] std::string capture_header(std::string_view program);
/// One operation's block. EPROTO: it is none.
[[nodiscard]] pci::result<std::string> capture_packet(const json& operation);
/// How many operations are missing so far.
[[nodiscard]] std::string capture_loss(std::uint64_t lost);

} // namespace client_program
