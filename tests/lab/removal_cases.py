# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that go from dom0 while a guest uses them with MSI-X. Without a guard the host would not survive any of these:
Xen panics when the guest closes its event channels, or is destroyed. Virtual functions that go with their physical one
are in igb_cases.py. Each test is a function of a World, as in cases.py."""
import re
import time

from aer_cases import PORT, card_below_port, wait_for
from cases import check, check_vectors, interrupts, start_network

PANIC = re.compile(r"Panic on CPU|Xen BUG|Xen WARN|blocked for more than|INFO: task")


def sound(lab):
    """Neither Xen nor dom0's kernel has anything to say about it."""
    found = PANIC.findall(lab.console.read_text(errors="replace")) + PANIC.findall(lab.sh("dmesg"))
    check(not found, f"the host says {found}")


def in_dom0(lab, function):
    """Whether dom0 has the function."""
    return not lab.run(f"[ -e /sys/bus/pci/devices/{function} ]")[0]


def guarded(world, function):
    """How it stands with the function's guard."""
    return world.backend.function(function)["guard"]


def check_network(world, guest, card):
    """The guest has the card, with MSI-X, and its removal would wait."""
    start_network(guest)
    check(len(interrupts(guest, "eth0.*")) == 3, "the guest's driver has not its three vectors")
    check_vectors(world, card, "msix", 3)
    check(guarded(world, card) == "armed", f"the guard is {guarded(world, card)}")


def check_gone(world, guest, function, began, let_go=True):
    """dom0 has lost the function, after it was held up, and the guest lives on without it.
    let_go: the hardware was there, so that the guest was asked first and has let go of the function."""
    lab = world.lab
    wait_for(60, f"{function} is gone", lambda: not in_dom0(lab, function))
    print(f"  {function} was gone after {time.monotonic() - began:.1f} s", flush=True)
    if let_go:
        wait_for(60, "the guest sees it gone", lambda: not guest.sh("ls /sys/bus/pci/devices").split())
    guest.sh("true")
    sound(lab)


def check_card(world, remove, put_back, let_go=True):
    """A card is removed while a guest uses it, put in again, and given to the next guest."""
    lab, card = world.lab, card_below_port(world.lab)
    backend = world.serve({card: {}})
    guest = backend.guest("first", [card])
    check_network(world, guest, card)
    began = time.monotonic()
    remove(card)
    check_gone(world, guest, card, began, let_go)
    guest.destroy()
    backend.guests.remove(guest)
    sound(lab)
    put_back()
    backend.wait_until_held([card])
    check_network(world, backend.guest("second", [card]), card)
    world.end()
    sound(lab)


def test_remove_by_sysfs(world):
    """echo 1 > .../remove"""
    lab = world.lab
    check_card(world, lambda card: lab.sh(f"echo 1 > /sys/bus/pci/devices/{card}/remove", 90),
               lambda: lab.sh("echo 1 > /sys/bus/pci/rescan"))


def put_card_in(lab):
    """The card below the root port that can be pulled out."""
    lab.monitor("device_add", driver="e1000e", id="card", netdev="port_net", bus="port0")


def test_unplug(world):
    """The card is unplugged: dom0's firmware driver is asked to let it go."""
    lab = world.lab
    check_card(world, lambda card: lab.monitor("device_del", id="card"), lambda: put_card_in(lab))


def test_surprise(world):
    """The slot's power is off, so that the hardware is gone, and then the function is removed."""
    lab = world.lab

    def remove(card):
        lab.sh(f"setpci -s {PORT} CAP_EXP+18.w=0700:0700; echo 1 > /sys/bus/pci/devices/{card}/remove", 90)

    def put_back():
        # The card was in the slot all the time.
        lab.sh(f"setpci -s {PORT} CAP_EXP+18.w=0000:0700; sleep 2; echo 1 > /sys/bus/pci/rescan")

    check_card(world, remove, put_back, let_go=False)


def test_killed_daemon(world):
    """The daemon is killed, a removal begins, and waits for the next daemon."""
    lab, card = world.lab, card_below_port(world.lab)
    backend = world.serve({card: {}})
    guest = backend.guest("first", [card])
    check_network(world, guest, card)
    backend.kill()
    lab.sh(f"(echo 1 > /sys/bus/pci/devices/{card}/remove) >/dev/null 2>&1 & sleep 5")
    check(in_dom0(lab, card), "the removal did not wait")
    check(f"waits {card}" in lab.sh("pcibackd-guard --list"), "the keeper does not say that it waits")
    backend.start()
    wait_for(30, f"{card} is gone", lambda: not in_dom0(lab, card))
    guest.sh("true")
    guest.destroy()
    backend.guests.remove(guest)
    sound(lab)
    lab.sh("echo 1 > /sys/bus/pci/rescan")
    backend.wait_until_held([card])
    check_network(world, backend.guest("second", [card]), card)
    world.end()
    sound(lab)


def test_guard_and_sleep(world):
    """The keeper lets its guards go before dom0 sleeps, and arms them again; one that is killed is replaced."""
    lab, card = world.lab, card_below_port(world.lab)
    backend = world.serve({card: {}})
    guest = backend.guest("first", [card])
    check_network(world, guest, card)
    lab.sh("pcibackd-guard --suspend")
    check(guarded(world, card) == "unguarded", guarded(world, card))
    lab.sh("pcibackd-guard --resume")
    wait_for(10, "the guard is armed again", lambda: guarded(world, card) == "armed")
    lab.sh("kill -9 $(pidof pcibackd-guard)")
    wait_for(20, "a new keeper guards it", lambda: guarded(world, card) == "armed")
    check_vectors(world, card, "msix", 3)
    world.end()
    wait_for(20, "the keeper has ended", lambda: lab.run("pidof pcibackd-guard")[0])
    sound(lab)


LOST = "awk '$2 == 15 && $4 == \"00000001\" {n += $9} END {print n + 0}' /proc/net/netlink"  # of the kernel's own announcements


def lose_announcements(lab, function, what):
    """The daemon stands still while the kernel announces more than it keeps, and then does `what`."""
    lab.sh(f"kill -STOP $(cat /run/pcibackd.pid); before=$({LOST}); for i in $(seq 30); do for j in $(seq 1000); do "
           f"echo change > /sys/bus/pci/devices/{function}/uevent; done; [ $({LOST}) -gt $before ] && break; done; "
           f"{what}; sleep 1; after=$({LOST}); kill -CONT $(cat /run/pcibackd.pid); [ $after -gt $((before + 1)) ]", 120)


def test_lost_announcements(world):
    """The kernel has no room to tell that a held function was removed, and later that it is back: the daemon finds out."""
    lab, card = world.lab, card_below_port(world.lab)
    # Nobody uses it, so that nothing holds its removal up, and Xen would warn of what it had prepared of MSI-X.
    backend = world.serve({card: {"msix": False}})
    lose_announcements(lab, "0000:00:00.0", f"echo 1 > /sys/bus/pci/devices/{card}/remove")
    wait_for(10, "the daemon knows that the function is gone", lambda: backend.function(card)["state"] == "gone")
    lose_announcements(lab, "0000:00:00.0", "echo 1 > /sys/bus/pci/rescan")
    backend.wait_until_held([card])
    world.end()
    sound(lab)


# The last changes what the others find.
TESTS = (test_remove_by_sysfs, test_lost_announcements, test_unplug, test_killed_daemon, test_guard_and_sleep, test_surprise)
