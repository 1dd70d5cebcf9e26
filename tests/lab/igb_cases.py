# SPDX-License-Identifier: GPL-2.0-or-later
"""Two virtual functions of a network card in two guests, with traffic. The card is QEMU's igb behind a root port, which
Debian 12's own QEMU does not have: these tests run in a boot of a newer one."""
import re
import time

from cases import GATEWAY, check, interrupts
from removal_cases import sound

PHYSICAL = "/sys/bus/pci/drivers/igb/0*"
ADDRESSES = ("10.0.2.15", "10.0.2.16")
PINGS = 50


def make_virtual_functions(lab):
    """Two virtual functions that no driver of dom0's takes; their physical one stays with dom0's igb, and its link is up."""
    lab.sh("modprobe igb; ip link set eth0 up")
    lab.sh("for i in $(seq 100); do [ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ] && exit 0; sleep 0.2; done; exit 1", 60)
    path = lab.sh(f"readlink -f {PHYSICAL}").strip()
    lab.sh(f"echo 0 > {path}/sriov_drivers_autoprobe; echo 2 > {path}/sriov_numvfs")
    return path, lab.sh(f"for i in 0 1; do basename $(readlink {path}/virtfn$i); done").split()


def start_network(guest, address):
    """Loads the virtual function's driver and waits for its link."""
    guest.sh(f"modprobe igbvf; ip link set eth0 up; ip addr add {address}/24 dev eth0", 90)
    guest.sh("for i in $(seq 150); do [ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ] && exit 0; sleep 0.2; done; exit 1", 90)


def ping(guest, target):
    """Sends PINGS echo requests and returns how many were answered."""
    _, output = guest.run(f"ping -c {PINGS} -i 0.05 -W 2 {target}", 120)
    return int(re.search(rb"(\d+) packets received", output)[1])


def packets(guest):
    """What the guest's card has received and sent, by its own count."""
    return [int(guest.sh(f"cat /sys/class/net/eth0/statistics/{name}_packets")) for name in ("rx", "tx")]


def check_messages(world, guest, address):
    """The guest's driver gets its interrupts as MSI-X, which the daemon mapped."""
    account = world.backend.function(address)
    check(account["mode"] == "msix" and len(account["vectors"]) == 3, f"{address}: pcibackd says {account}")
    counts = interrupts(guest, "eth0.*")
    check(len(counts) == 3 and sum(count for _, count in counts.values()) > PINGS,
          f"guest {guest.name} counts these interrupts: {counts}")


def test_two_virtual_functions_with_traffic(world):
    """Each of two guests has a virtual function of the same card: both reach the network and each other at the same time,
    by MSI-X; one ends while the other goes on, and the next guest gets its function."""
    lab = world.lab
    world.end()
    path, functions = make_virtual_functions(lab)
    backend = world.serve({function: {} for function in functions})
    guests = [backend.guest(f"igb{index}", [function]) for index, function in enumerate(functions)]
    for guest, address in zip(guests, ADDRESSES):
        start_network(guest, address)
    for guest, function, other in zip(guests, functions, reversed(ADDRESSES)):
        for target in (GATEWAY, other):
            answered = ping(guest, target)
            check(answered >= PINGS - 2, f"guest {guest.name} got {answered} of {PINGS} answers of {target}")
        check(min(packets(guest)) >= 2 * PINGS - 4, f"guest {guest.name} counts {packets(guest)} packets")
        check_messages(world, guest, function)
    guests[0].destroy()
    backend.wait_until_held(functions[:1])
    check(ping(guests[1], GATEWAY) >= PINGS - 2, "the other guest's card stopped when its neighbour's guest ended")
    third = backend.guest("igb2", functions[:1])
    start_network(third, ADDRESSES[0])
    check(ping(third, ADDRESSES[1]) >= PINGS - 2, "the next guest does not reach the other one")
    for guest in (third, guests[1]):
        log = guest.dmesg()
        check("not responding" not in log, f"guest {guest.name}: {log[-1000:]}")
    # Both are in use: without their guards Xen would not survive this.
    check_messages(world, guests[1], functions[1])
    began = time.monotonic()
    lab.sh(f"echo 0 > {path}/sriov_numvfs", 90)
    check_lost(world, functions, (third, guests[1]), began)


def check_lost(world, functions, guests, began):
    """The functions are gone, and their guests live on, see none, and can be destroyed."""
    world.backend.wait_until_gone(functions)
    print(f"  {', '.join(functions)} were gone after {time.monotonic() - began:.1f} s", flush=True)
    for guest in guests:
        check(not guest.sh("ls /sys/bus/pci/devices").split(), f"guest {guest.name} still sees its function")
        guest.destroy()
        world.backend.guests.remove(guest)
    sound(world.lab)


def test_driver_of_physical_function(world):
    """rmmod of the physical function's driver while a guest uses a virtual function, by MSI-X; and when it is loaded again
    and has made them again, the next guest gets it."""
    lab = world.lab
    world.end()
    path, functions = make_virtual_functions(lab)
    backend = world.serve({functions[0]: {}})
    for name in ("before", "after"):
        if name == "after":
            make_virtual_functions(lab)
        backend.wait_until_held(functions[:1])
        guest = backend.guest(name, functions[:1])
        start_network(guest, ADDRESSES[0])
        check(ping(guest, GATEWAY) >= PINGS - 2, f"guest {name} does not reach the network")
        check_messages(world, guest, functions[0])
        if name == "before":
            began = time.monotonic()
            lab.sh("rmmod igb", 90)
            check_lost(world, functions[:1], (guest,), began)
    world.end()
    lab.sh(f"echo 0 > {path}/sriov_numvfs")
    sound(lab)


TESTS = (test_two_virtual_functions_with_traffic, test_driver_of_physical_function)
