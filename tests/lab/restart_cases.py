# SPDX-License-Identifier: GPL-2.0-or-later
"""Frontends that begin again under a real Xen. Each test is a function of a World, as in cases.py."""
from cases import GATEWAY, check, check_vectors, interrupts, start_network
from kill_cases import destroy
from lab import NIC

REFUSED = "-5"  # the protocol's XEN_PCI_ERR_op_failed


def use_network(world, guest):
    """The guest's card works, with its three vectors and no more."""
    start_network(guest)
    before = interrupts(guest, "eth0.*")
    guest.sh(f"ping -q -c 10 -i 0.1 {GATEWAY}")
    after = interrupts(guest, "eth0.*")
    check(after["eth0-rx-0"][1] > before["eth0-rx-0"][1], f"{before} then {after}")
    check_vectors(world, NIC, "msix", 3)


def test_frontend_reload(world):
    """xen-pcifront is unloaded and loaded again, quickly and after a while, and the guest has its card each time."""
    guest = world.serve({NIC: {}}).guest("reload", [NIC])
    use_network(world, guest)
    for pause in (0, 3):
        # It cannot be unloaded while it has its device.
        guest.sh("set -e; echo pci-0 > /sys/bus/xen/drivers/pcifront/unbind; rmmod xen-pcifront; ! ls /sys/bus/pci/devices/*; "
                 f"sleep {pause}; modprobe xen-pcifront", 120)
        guest.sh("for i in $(seq 100); do [ -e /sys/bus/pci/devices/0000:00:00.0 ] && exit 0; sleep 0.2; done; exit 1", 60)
        use_network(world, guest)
    guest.dmesg()
    destroy(world, guest)


def take_over(world, guest, vectors):
    """Another frontend takes the place of the one that is connected; returns its process, and what it says of COMMAND and
    of its wish for vectors."""
    said = guest.sh(f"take_over {vectors} > /tmp/said & echo $!; for i in $(seq 200); do [ -s /tmp/said ] && break; sleep 0.1; done; "
                    "cat /tmp/said; rm /tmp/said", 60).split()
    check(len(said) == 4 and said[1] == "10d38086", f"it says {said}")
    refused = said[3] == REFUSED
    check(refused or said[3] == "0", f"it says {said}")
    check_vectors(world, NIC, "intx" if refused else "msix", 0 if refused else vectors)
    return said[0], said[2], refused


def test_frontend_starts_over(world):
    """A frontend takes the place of another that said nothing, with MSI-X on, whose page and channel are still there, and
    then are not. While the guest has channels open of the interrupts that it had, Xen gives it no new ones."""
    guest = world.serve({NIC: {}}).guest("over", [NIC])
    use_network(world, guest)
    guest.sh("modprobe xen-gntalloc; modprobe xen-evtchn", 60)
    frontends = [take_over(world, guest, 2)]
    check(frontends[0][2], "Xen gives the guest MSI-X again while its driver has the old event channels open")
    guest.sh("ip link set eth0 down", 60)  # closes them
    frontends += [take_over(world, guest, vectors) for vectors in (2, 3)]
    guest.sh(f"kill {' '.join(process for process, _, _ in frontends)}")
    frontends.append(take_over(world, guest, 1))
    check(not any(refused for _, _, refused in frontends[1:]), f"MSI-X was refused: {frontends}")
    check(len({command for _, command, _ in frontends}) == 1, f"the last frontend's COMMAND shows: {frontends}")
    guest.sh(f"kill {frontends[-1][0]}")
    destroy(world, guest)


TESTS = (test_frontend_reload, test_frontend_starts_over)
