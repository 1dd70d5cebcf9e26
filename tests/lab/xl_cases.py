# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmodified xl over the directory that pcibackd-sysfs serves. Each test is a function of a World, as in cases.py."""
import contextlib
import time

from cases import check, check_disk_content, check_quiet, start_disk
from lab import DISK, Guest, NIC

XL = "pcibackd-with-sysfs xl"
PCIBACK = "/sys/bus/pci/drivers/pciback"
DEVICES = "/sys/bus/pci/devices"


@contextlib.contextmanager
def directory(world):
    """A daemon that holds nothing yet, and pciback's directory; dom0's own driver has the network card."""
    backend, lab = world.serve({}), world.lab
    lab.sh("modprobe fuse; modprobe e1000e")
    lab.sh("pcibackd-sysfs > /run/pcibackd-sysfs.log 2>&1 & echo $! > /run/pcibackd-sysfs.pid; "
           "for i in $(seq 50); do pcibackd-with-sysfs true 2>/run/why && exit 0; sleep 0.1; done; cat /run/why; exit 1")
    try:
        yield backend
    finally:
        for guest in backend.guests:
            guest.destroy()
        backend.guests = []
        for function in (NIC, DISK):
            lab.run(f"for i in $(seq 50); do pcibackctl release --driverless {function} && break; sleep 0.2; done", 60)
        lab.run("kill $(cat /run/pcibackd-sysfs.pid); rmmod e1000e", 60)


def inside(lab, command, limit=60):
    """Runs a shell command where a toolstack would run, with pciback's directory."""
    return lab.sh(f"pcibackd-with-sysfs sh -c '{command}'", limit)


def assignable(lab):
    """What xl says may be assigned."""
    return {line.split()[0] for line in lab.sh(f"{XL} pci-assignable-list").splitlines()}


def driver(lab, address):
    """The name of the driver that dom0's kernel has bound; empty: none."""
    return lab.sh(f"basename $(readlink {DEVICES}/{address}/driver) 2>/dev/null || true").strip()


def wait_for(what, limit=15):
    """Until a condition is true, or the limit's seconds are over; returns whether it is."""
    deadline = time.monotonic() + limit
    while not (met := what()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return met


def seconds(what):
    """How long something takes."""
    started = time.monotonic()
    what()
    return time.monotonic() - started


def seen(guest):
    """The vendors of the functions that the guest has."""
    return sorted(guest.sh(f"cat {DEVICES}/*/vendor 2>/dev/null || true").split())


def test_xl_assignable(world):
    """xl takes a function from dom0's driver, lists it, and gives it back to that driver; scripts find pciback's files."""
    lab = world.lab
    with directory(world) as backend:
        check(driver(lab, NIC) == "e1000e" and not assignable(lab), f"{NIC} has {driver(lab, NIC)} before all")
        lab.sh(f"{XL} pci-assignable-add {NIC}")
        lab.sh(f"{XL} pci-assignable-add {DISK}")
        check(assignable(lab) == {NIC, DISK}, f"assignable: {assignable(lab)}")
        check(backend.function(NIC)["state"] == "held", f"pcibackd says {backend.function(NIC)}")
        check(inside(lab, f"cat {PCIBACK}/slots").split() == [NIC, DISK], "slots has other functions")
        check(inside(lab, f"cd -P {PCIBACK}/{NIC} && pwd").strip().endswith(f"/{NIC}"), "the link leads elsewhere")
        check(inside(lab, f"cat {PCIBACK}/irq_handlers") == f"{NIC}:off:not acking:0\n{DISK}:off:not acking:0\n", "irq_handlers")
        inside(lab, f"echo {NIC} > {PCIBACK}/permissive; echo {NIC}-e8:2:f0 > {PCIBACK}/quirks")
        check(inside(lab, f"cat {PCIBACK}/permissive").split() == [NIC], "permissive has other functions")
        check("\t\t000000e8:2:000000f0" in inside(lab, f"cat {PCIBACK}/quirks"), "the quirk is not there")
        account = backend.function(NIC)
        check(account["writes"] == "all" and account["quirks"] == ["e8:2:f0"], f"pcibackd says {account}")
        lab.sh(f"{XL} pci-assignable-remove -r {NIC}")
        check(driver(lab, NIC) == "e1000e", f"{NIC} has the driver '{driver(lab, NIC)}' afterwards")
        lab.sh(f"{XL} pci-assignable-remove {DISK}")
        check(driver(lab, DISK) == "" and not assignable(lab), f"{DISK} has the driver '{driver(lab, DISK)}' afterwards")
        check(not backend.list()["functions"], "pcibackd still holds something")
        check("pciback" not in lab.sh("ls /sys/bus/pci/drivers"), "dom0 itself sees the directory")


def test_xl_guest(world):
    """A function at creation, one more into the running guest and out again, and the end of the guest, all by xl."""
    lab = world.lab
    with directory(world) as backend:
        for function in (NIC, DISK):
            lab.sh(f"{XL} pci-assignable-add {function}")
        guest = Guest(lab, "xl", [f"{DISK},permissive=1"], xl=XL)
        backend.guests.append(guest)
        check(wait_for(lambda: seen(guest) == ["0x1b36"]), f"the guest sees {seen(guest)}")
        start_disk(guest)
        check(backend.function(DISK)["writes"] == "all", "permissive=1 did not arrive")
        check(assignable(lab) == {NIC}, f"assignable: {assignable(lab)}")

        detaching = 0
        for _ in range(2):
            lab.sh(f"{XL} pci-attach {guest.name} {NIC}")
            check(wait_for(lambda: seen(guest) == ["0x1b36", "0x8086"]), f"after the attach the guest sees {seen(guest)}")
            guest.sh("modprobe e1000e; for i in $(seq 50); do [ -e /sys/class/net/eth0 ] && exit 0; sleep 0.1; done; exit 1")
            check(len(lab.sh(f"{XL} pci-list {guest.name}").splitlines()) == 3, "pci-list shows other functions")
            detaching = max(detaching, seconds(lambda: lab.sh(f"{XL} pci-detach {guest.name} {NIC}")))
            check(seen(guest) == ["0x1b36"], f"after the detach the guest sees {seen(guest)}")
            check(wait_for(lambda: backend.function(NIC)["state"] == "held"), f"pcibackd says {backend.function(NIC)}")
            check_quiet(world, NIC)
        check_disk_content(world, guest)

        pace = seconds(lambda: lab.sh(f"{XL} list"))
        took = seconds(lambda: lab.sh(f"{XL} destroy {guest.name}"))
        backend.guests.remove(guest)
        # It detaches the disk first, for which the guest's driver has to let go of it and the function is made clean, and
        # ends the domain: all that is in a detach, and some calls more. A stall would be one of libxl's waits of 10 s.
        print(f"  xl destroy took {took:.1f} s, pci-detach {detaching:.1f} s, list {pace:.1f} s", flush=True)
        check(took < detaching + 6 * pace, f"xl destroy took {took:.1f} s, pci-detach {detaching:.1f} s, list {pace:.1f} s")
        check(wait_for(lambda: backend.function(DISK)["state"] == "held"), f"pcibackd says {backend.function(DISK)}")
        check(assignable(lab) == {NIC, DISK}, f"assignable afterwards: {assignable(lab)}")
        check(backend.function(DISK)["writes"] == "strict", "permissive outlived the lease")
        check_quiet(world, DISK)
        check(not lab.sh("xenstore-ls /local/domain/0/backend/pci 2>/dev/null || true").strip(), "the backend's nodes are left")


TESTS = (test_xl_assignable, test_xl_guest)
