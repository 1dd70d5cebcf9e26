// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "actors/environment.hpp"
#include "messages/explanation.hpp"

/// What `explain` asks the host. Plain functions that may block; they change nothing, and do not touch a function that
/// a guest has.
namespace actors::control {

/// What the settings and dom0's kernel say of a function. `held`: by this daemon, so that what must not be held needs
/// no look; `records` have what its guest wrote into COMMAND.
[[nodiscard]] messages::function_account look_at_function(platform::host& host, const settings& what, journal& records,
                                                          const pci::sbdf& address, bool held);

/// A guest as xenstore and Xen have it, with what `all` knows of it.
[[nodiscard]] messages::guest_account look_at_guest(platform::host& host, const messages::overview& all,
                                                    messages::domain_id domain);

} // namespace actors::control
