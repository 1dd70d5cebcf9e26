# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors that a function reports (AER), injected into dom0's kernel. Each test is a function of a World, as in cases.py."""
import re
import struct
import time

from cases import GATEWAY, check, check_quiet, check_vectors, interrupts, start_network

PORT = "0000:00:06.0"  # the root port with an e1000e, whose errors it reports
POISONED_TLP = 0x1000  # non-fatal, as a function's severity register has it


def card_below_port(lab):
    """The card's address, whose bus depends on what else there is."""
    return lab.sh(f"basename /sys/bus/pci/devices/{PORT}/0000:??:??.?").strip()


def inject_error(lab, address, status):
    """Has dom0's kernel see an uncorrectable error of a function. Source: drivers/pci/pcie/aer_inject.c, aer_error_inj."""
    segment, bus, device, number = (int(part, 16) for part in re.split("[:.]", address))
    record = struct.pack("<BBBx7I", bus, device, number, status, 0, 0, 0, 0, 0, segment)
    octal = "".join(f"\\{byte:03o}" for byte in record)
    # Without the report bits of Device Control the kernel takes the error for another function's.
    lab.sh(f"modprobe aer_inject; setpci -s {address} CAP_EXP+8.w=f:f; printf '{octal}' > /dev/aer_inject")


def wait_for(limit, what, found):
    """Asks once in a while until the answer is yes."""
    deadline = time.monotonic() + limit
    while not found():
        check(time.monotonic() < deadline, f"not within {limit} s: {what}")
        time.sleep(0.5)


def check_errors(world, card, **wanted):
    """The daemon's account of the card's errors, which must be this."""
    account = world.backend.function(card)["errors"]
    check({name: account[name] for name in wanted} == wanted, f"errors: {account}, not {wanted}")


def check_recovered(world, guest, card):
    """An error is injected while the guest uses the card; afterwards it uses it as before."""
    inject_error(world.lab, card, POISONED_TLP)
    wait_for(60, "the recovery", lambda: world.backend.function(card)["errors"]["recovered"] == 1)
    check_errors(world, card, nonfatal=1, fatal=0, failed=0)
    start_network(guest)
    before = interrupts(guest, "eth0.*")
    guest.sh(f"ping -q -c 10 -i 0.1 {GATEWAY}")
    after = interrupts(guest, "eth0.*")
    check(len(after) == 3, f"interrupts: {after}")
    check(after["eth0-rx-0"][1] - before["eth0-rx-0"][1] >= 5, f"{before} then {after}")
    check_vectors(world, card, "msix", 3)
    guest.dmesg()


def check_left_alone(world, guest, card):
    """An error is injected while the guest has no driver for the card: the card is put in order, the guest goes on."""
    guest.sh("ip link set eth0 down; rmmod e1000e")
    inject_error(world.lab, card, POISONED_TLP)
    wait_for(60, "the recovery", lambda: world.backend.function(card)["errors"]["recovered"] == 2)
    check_errors(world, card, nonfatal=2, fatal=0, failed=0)
    start_network(guest)
    guest.sh(f"ping -q -c 3 {GATEWAY}")
    check_vectors(world, card, "msix", 3)
    guest.dmesg()


def use_without_handlers(guest):
    """The guest uses the card, as by a driver that handles no errors: it masters the bus."""
    guest.sh("ip link set eth0 down; rmmod e1000e")
    guest.sh("printf '\\006' | dd of=/sys/bus/pci/devices/0000:00:00.0/config bs=1 seek=4 conv=notrunc")


def check_stopped(world, guest, card):
    """An error is injected while the guest uses the card and handles no errors: it is stopped, the card made clean."""
    lab, backend = world.lab, world.backend
    inject_error(lab, card, POISONED_TLP)
    wait_for(60, "the guest is gone", lambda: lab.run(f"xl domid {guest.name}")[0])
    backend.guests.remove(guest)
    wait_for(60, "the card is clean", lambda: backend.function(card)["state"] == "held")
    check_errors(world, card, nonfatal=3, fatal=0, failed=1, recovered=2)
    check_quiet(world, card)
    log = lab.read(backend.log).decode(errors="replace")
    check(f"domain {guest.domain} does not recover {card} from its error" in log, "the log does not say why")


def test_aer(world):
    """A guest's driver recovers its card from an error; one without a driver is left alone, one without handlers not."""
    card = card_below_port(world.lab)
    guest = world.serve({card: {}}).guest("aer", [card])
    start_network(guest)
    check_recovered(world, guest, card)
    check_left_alone(world, guest, card)
    use_without_handlers(guest)
    check_stopped(world, guest, card)


TESTS = (test_aer,)
