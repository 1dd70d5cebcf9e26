# SPDX-License-Identifier: GPL-2.0-or-later
"""A function that a device model uses, whose guest is not the domain with the frontend. Two PV domains stand for an HVM guest
and its stub domain: xenstore says that the one is the other's target, Xen has the function with the target, and a small
program of dom0's maps vectors in the target's name."""
import time

from cases import check
from lab import NIC, Guest

VECTORS = 3


def give_nodes(lab, domain, address):
    """What libxl writes for the first function of a domain."""
    back, front = f"/local/domain/0/backend/pci/{domain}/0", f"/local/domain/{domain}/device/pci/0"
    nodes = {f"{front}/backend": back, f"{front}/backend-id": 0, f"{front}/state": 1, f"{back}/frontend": front,
             f"{back}/frontend-id": domain, f"{back}/online": 1, f"{back}/key-0": address, f"{back}/dev-0": address,
             f"{back}/opts-0": "msitranslate=0,power_mgmt=0,permissive=0", f"{back}/state-0": 1, f"{back}/num_devs": 1,
             f"{back}/state": 1}
    lab.sh(f"xenstore-write {front} ''; xenstore-chmod {front} n{domain} r0; xenstore-write {back} ''; xenstore-chmod {back} n0 r{domain}")
    lab.sh("xenstore-write " + " ".join(f"{path} '{value}'" for path, value in nodes.items()))
    lab.sh(f"xenstore-chmod -r {front} n{domain} r0; xenstore-chmod -r {back} n0 r{domain}")


def take_nodes(lab, domain):
    """What libxl does when it takes the last function by force."""
    lab.sh(f"xenstore-rm /local/domain/0/backend/pci/{domain}; xenstore-rm /local/domain/{domain}/device/pci")


def wait_for(backend, condition, what, limit=30):
    """Waits until the daemon's account of the function is as it should be, and returns it."""
    deadline, account = time.monotonic() + limit, {}
    while time.monotonic() < deadline:
        account = backend.function(NIC)
        if condition(account):
            return account
        time.sleep(0.3)
    raise AssertionError(f"{NIC} is not {what}: {account}")


def start_device_model(lab, domain):
    """Has the vectors mapped; returns their pirqs."""
    table = lab.sh(f"sed -n 4p /sys/bus/pci/devices/{NIC}/resource").split()[0]  # the e1000e's is in BAR 3, its capability at a0
    return lab.sh(f"device_model start {domain} {NIC.removeprefix('0000:')} {table} 0xa0 {VECTORS}").split()


def check_waits(backend, target):
    """The function is quiet and waits for the target's vectors, however long."""
    waits = f"waits for {target.name} ({target.domain})"
    wait_for(backend, lambda account: account["state"] == "scrubbing" and waits in account["detail"], f"'{waits}'")
    time.sleep(3)
    account = backend.function(NIC)
    check(account["state"] == "scrubbing" and waits in account["detail"], f"pcibackd says {account}")
    command = int(backend.lab.sh(f"setpci -s {NIC} COMMAND"), 16)
    check(not command & 4, f"COMMAND is {command:04x}: the function may still send")


def test_device_model_keeps_vectors(world):
    """A function whose nodes go while a device model has vectors of it waits for them, until they are unmapped or their
    domain has ended, and is clean then; it is shown under its target's name, and given to neither by pcibackctl."""
    lab = world.lab
    backend = world.serve({NIC: {}})
    target, stub = (Guest(lab, name, paused=True) for name in ("web", "web-dm"))
    backend.guests += [target, stub]
    stub.unpause()
    lab.sh(f"xenstore-write /local/domain/{stub.domain}/target {target.domain}")
    status, output = lab.run(f"pcibackctl attach web-dm {NIC}")
    check(status and b"xl pci-attach web " in output, f"attach to a stub domain ended with {status}: {output}")
    for end in ("unmap", "destroy"):
        give_nodes(lab, stub.domain, NIC)
        account = wait_for(backend, lambda now: now["state"] == "leased", "leased")
        check(account["target"] == target.domain and account["guest"].startswith("web ("), f"pcibackd says {account}")
        pirqs = start_device_model(lab, target.domain)
        take_nodes(lab, stub.domain)
        check_waits(backend, target)
        if end == "unmap":
            lab.sh(f"device_model stop {target.domain} {' '.join(pirqs)}")
        else:
            target.destroy()
        backend.wait_until_held([NIC])
    last = backend.guest("after", [NIC])
    check(last.sh("cat /sys/bus/pci/devices/*/vendor").split() == ["0x8086"], "the next guest does not see the function")
    console = lab.console.read_text(errors="replace")
    check("Assertion" not in console and "panic" not in console, console[-2000:])


TESTS = (test_device_model_keeps_vectors,)
