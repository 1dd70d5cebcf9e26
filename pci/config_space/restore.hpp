#pragma once

#include "pci/config_space/port.hpp"
#include "pci/function.hpp"

namespace pci {

/// Takes what must not outlive a driver out of a reference copy: bus mastering, INTX_DISABLE, the MSI and MSI-X enable
/// bits, MASKALL. Decoding stays as the host set it: clearing it is a hazard of its own (CVE-2015-8553).
void make_reference(function& function);

/// Puts the function into D0. True: it was in D3hot and must not be touched for the next 10 ms (PCI Power Management
/// 1.2, section 5.6.1); what it resets by itself meanwhile would be lost otherwise.
[[nodiscard]] result<bool> wake(const function& function, config_port& port);

/// Writes the reference configuration back after a reset: power state D0 first, then the header with its BARs, the
/// control registers of PCI Express, MSI and MSI-X (disabled), COMMAND last. Registers that hold what they should are
/// not written.
[[nodiscard]] result<void> restore(const function& function, config_port& port);

/// True when the function was reset by somebody: a BAR or the decoding, which no guest can change, is not as in the
/// reference configuration. A virtual function has neither; of it only its silence tells.
[[nodiscard]] result<bool> was_reset(const function& function, config_port& port);

/// Reads from the hardware what a function must be like between two guests: no bus mastering, MSI and MSI-X off and not
/// masked as a whole. EIO names the register that is not so; ENODEV: the function does not answer. What a scrub ends
/// with.
[[nodiscard]] result<void> check_quiet(const function& function, config_port& port);

/// Writes both control words with the enable bits and MASKALL off, whatever the bookkeeping says.
[[nodiscard]] result<void> turn_messages_off(const function& function, config_port& port);

} // namespace pci
