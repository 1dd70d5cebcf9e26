// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pci/config_space/port.hpp"
#include "pci/function.hpp"

namespace pci {

/// Makes a copy that was just read the reference. Taken out is what must not outlive a driver: bus mastering (a
/// bridge's stays, for what is below it), INTX_DISABLE, the MSI and MSI-X enable bits, MASKALL, a deeper power state.
/// Where the host knows better than a function that has lost its configuration, its BARs and decoding are as the host's
/// resources say. Decoding is never taken away: that is a hazard of its own (CVE-2015-8553).
void make_reference(function& function);

/// Puts the function into D0. True: it was in D3hot and must not be touched for the next 10 ms (PCI Power Management
/// 1.2, section 5.6.1); what it resets by itself meanwhile would be lost otherwise. ENODEV: it is silent.
[[nodiscard]] result<bool> wake(const function& function, config_port& port);

/// Whether a function that nobody has may be in D3hot: it has power states, and nothing else needs it. Not a bridge,
/// nor a virtual function, whose power is its physical one's, nor a function that may have virtual ones.
[[nodiscard]] bool may_sleep(const function& function);

/// Puts a function that may_sleep into D3hot, where it takes no write but that which wakes it; it must not be touched
/// for the next 10 ms. ENODEV: it is silent.
[[nodiscard]] result<void> put_to_sleep(const function& function, config_port& port);

/// It is in D3hot now. False too when it does not answer.
[[nodiscard]] bool sleeps(const function& function, config_port& port);

/// Writes back all that saved_registers names, in its order. Registers that hold what they should are not written.
/// `freely`: the last guest could write anywhere, so everything else is put back as well.
[[nodiscard]] result<void> restore(const function& function, config_port& port, bool freely = false);

/// A register that is not as in the reference copy.
struct difference {
  std::uint16_t offset = 0;
  std::uint8_t width = 0;
  std::uint32_t wanted = 0;
  std::uint32_t found = 0;
  bool essential = false; ///< no guest can have the function so
  friend bool operator==(const difference&, const difference&) = default;
};

/// Holds the whole configuration space against the reference copy, register by register, but for what the hardware
/// changes by itself. ENODEV: the function is silent. `now`: the space as it was read a moment ago, all at once, which
/// takes a fraction of the time; what differs in it is read again. Empty, or of another size: every register is read.
[[nodiscard]] result<std::vector<difference>> compare(const function& function, config_port& port,
                                                      std::span<const std::byte> now = {});

/// The first few of them in one line, with the registers' names: "AER+8 (Uncorrectable Error Mask) reads 0, was
/// 00462030". Empty when there are none.
[[nodiscard]] std::string describe(const function& function, std::span<const difference> all);

/// True when the function was reset by somebody: a BAR or the decoding, which no guest can change, is not as in the
/// reference configuration. A virtual function has neither; of it only its silence tells.
[[nodiscard]] result<bool> was_reset(const function& function, config_port& port);

/// Reads from the hardware what a function must be like between two guests: no bus mastering (but a bridge's), MSI and
/// MSI-X off and not masked as a whole. EIO names the register that is not so; ENODEV: the function is silent. What a
/// scrub ends with.
[[nodiscard]] result<void> check_quiet(const function& function, config_port& port);

/// Writes both control words with the enable bits and MASKALL off, whatever the bookkeeping says.
[[nodiscard]] result<void> turn_messages_off(const function& function, config_port& port);

} // namespace pci
