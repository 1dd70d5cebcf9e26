// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "messages/explanation.hpp"

namespace actors::control {

/// What is the matter with a function or a guest: what stands in the way first, the worse before the better. Of several
/// functions, the first in this order decides.
enum class verdict_kind : std::uint8_t {
  absent,          ///< the host has no function at the address
  removed,         ///< it was pulled out
  wrong_pin,       ///< another card than the pinned one
  must_not,        ///< something else forbids holding it
  no_iommu,        ///< Xen drives none
  not_held,        ///< it is to be held or assigned, and is not
  failed,          ///< it could not be shown to be clean
  inherited,       ///< a guest has it from an earlier daemon
  no_guest,        ///< it is assigned to a name that no running guest has
  reserved_memory, ///< the guest runs, and Xen does not give it what shares reserved memory (RMRR)
  shared_page,     ///< the guest runs, and somebody else has registers in the function's page
  no_passthrough,  ///< the guest runs, and Xen built it without a way to have functions
  not_given,       ///< the guest runs, and does not have it
  reserved,        ///< it waits for the end of its last guest
  ended,           ///< its guest has shut down
  paused,          ///< its guest is paused
  backend_error,   ///< the daemon could not do something for the guest
  frontend_error,  ///< the guest's frontend says so
  no_frontend,     ///< the guest's frontend does not answer
  no_vectors,      ///< the guest has all that Xen gives it
  unrecovered,     ///< an error of the card's, from which its guest did not recover
  storm,           ///< its interrupt line is in danger
  untouched,       ///< nothing in the guest has looked at it
  no_driver,       ///< no driver of the guest's has switched it on
  waits,           ///< something is under way
  refused_writes,  ///< it works; some writes of the guest's did not get through
  not_assigned,    ///< a guest without functions
  dom0s,           ///< nobody wants it held
  free,            ///< held, clean, nobody's
  works,
};
/// "wrong-pin" and so on: the words stay as they are.
[[nodiscard]] std::string_view to_string(verdict_kind kind);

struct verdict {
  verdict_kind kind = verdict_kind::works;
  std::string text;    ///< one sentence, without its end
  std::string command; ///< for a shell of dom0, mends it or shows more; empty: there is nothing to be done
};

[[nodiscard]] verdict verdict_of(const messages::function_account& function);
/// Of the function that is worst, or of the guest.
[[nodiscard]] verdict verdict_of(const messages::explanation& all);

} // namespace actors::control
