# SPDX-License-Identifier: GPL-2.0-or-later
"""A function with memory that the firmware has reserved for it and for another (RMRR), under a Xen that was told so at its start. Each
test is a function of a World, as in cases.py."""
from cases import GATEWAY, check, start_network
from lab import NIC, Guest


def test_shared_reserved_memory(world):
    """Xen gives no guest such a function, unless it is asked to be relaxed: who asks is told so, and then it works."""
    backend = world.serve({NIC: {}})
    guest = Guest(world.lab, "reserved", paused=True)
    backend.guests.append(guest)
    status, said = world.lab.run(f"pcibackctl attach {guest.domain} {NIC} 2>&1")
    check(status == 4 and b"it shares reserved memory (RMRR)" in said and b"`pcibackctl attach --rdm relaxed`" in said, f"{status}: {said}")
    check(backend.function(NIC)["state"] == "held", "a function that Xen refused is not held as before")
    verdict = world.lab.sh(f"pcibackctl explain {NIC}")
    check("no guest has it: " in verdict and "--rdm relaxed" in verdict, verdict)
    world.lab.sh(f"pcibackctl attach --rdm relaxed {guest.domain} {NIC}")
    guest.unpause()
    start_network(guest)
    guest.sh(f"ping -q -c 3 {GATEWAY}")
    world.end()


TESTS = [test_shared_reserved_memory]
