// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pci/address.hpp"
#include "pci/result.hpp"

namespace pci {

/// What the keeper of the removal guards is asked; a packet each.
struct guard_request {
  enum class verb : std::uint8_t {
    arm,     ///< guard this function; answered with `armed`, `waits` or `failed`
    release, ///< let go of it; answered with `released`
    look,    ///< its driver was unbound: a removal may be about to wait. Not answered
    list,    ///< tell of each function that is guarded, and of each that was let go, then `listed`
    watch,   ///< tell this connection of all that happens; while it is open, no removal is let go
    suspend, ///< dom0 is about to sleep: no read may be left that will not freeze; answered with `suspended`
    resume,  ///< and is awake again; answered with `resumed`
    keep,    ///< keep the descriptor that comes with it open, instead of an earlier one; answered with `kept`
    take,    ///< give it back, and keep it; answered with `kept` and the descriptor, or with `dropped`: there is none
    drop,    ///< close it; answered with `dropped`
  };
  verb what = verb::list;
  pci::sbdf address; ///< of the first three and the last three
  friend bool operator==(const guard_request&, const guard_request&) = default;
};

/// What the keeper says.
struct guard_news {
  enum class kind : std::uint8_t {
    armed,    ///< a removal of the function will wait from now on
    waits,    ///< a removal of the function waits
    released, ///< it is not guarded any more
    failed,   ///< it cannot be guarded, or not now; `error` says why
    let_go,   ///< a removal waited, nobody watched, and it was let go: the function may be gone by now
    listed,
    suspended,
    resumed,
    kept,    ///< a descriptor is kept open for the function
    dropped, ///< none is
  };
  kind what = kind::listed;
  pci::sbdf address; ///< of the first five and the last two
  int error = 0;     ///< errno, of `failed`
  friend bool operator==(const guard_news&, const guard_news&) = default;
};

/// The longest packet.
inline constexpr std::size_t guard_packet_size = 64;

/// "arm 0000:03:00.0", "list".
[[nodiscard]] std::string to_text(const guard_request& what);
/// "failed 0000:03:00.0 38", "armed 0000:03:00.0", "listed".
[[nodiscard]] std::string to_text(const guard_news& what);

/// Read them again, strictly: EPROTO for anything else, whatever the bytes are.
[[nodiscard]] result<guard_request> parse_guard_request(std::string_view text);
[[nodiscard]] result<guard_news> parse_guard_news(std::string_view text);

} // namespace pci
