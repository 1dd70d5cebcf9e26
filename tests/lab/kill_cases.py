# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are destroyed with their function in use. Each test is a function of a World, as in cases.py."""
import re
import time

import expected
from cases import GATEWAY, check, check_vectors, host_config, start_network, warnings
from lab import NIC

# Each kind of interrupts, each guest paused and not; the first again, so that what each leaves behind is there when one comes.
KILLS = [(mode, paused) for mode in ("msix", "msi") for paused in (True, False)] + [("msix", True)]


def messages_on(lab, address):
    """What is still on in the hardware, as dom0 reads it: of MSI, MSI-X and bus mastering."""
    config = host_config(lab, address)
    at = expected.capabilities(config)
    found = [name for name, capability, bit in (("MSI", 0x05, 0x0001), ("MSI-X", 0x11, 0x8000))
             if capability in at and expected.word(config, at[capability] + 2) & bit]
    return found + ["bus mastering"] * bool(expected.word(config, expected.COMMAND) & 0x0004)


def wait_until_held(world, address, limit=30):
    """The function has been scrubbed, and the daemon says so."""
    deadline = time.monotonic() + limit
    while (account := world.backend.function(address))["state"] != "held":
        check(time.monotonic() < deadline and account["state"] != "failed", f"{address} is not clean: {account}")
        time.sleep(0.2)


def destroy(world, guest):
    """xl destroy, from whose end on neither interrupts nor DMA of its function are left; returns its seconds."""
    times = world.lab.sh(f"cut -d' ' -f1 /proc/uptime; xl destroy {guest.domain} 2>&1; cut -d' ' -f1 /proc/uptime", 60).split()
    world.backend.guests.remove(guest)
    wait_until_held(world, NIC)
    found = messages_on(world.lab, NIC)
    check(not found, f"after the guest was destroyed, {', '.join(found)} still on")
    directory = f"/local/domain/0/backend/pci/{guest.domain}"
    check(world.lab.run(f"xenstore-exists {directory}")[0], f"{directory} is still there")
    return float(times[-1]) - float(times[0])


def guest_with_messages(world, name, mode, network=False):
    """A guest whose driver has this kind of interrupts on. While the interface stays down it has them too, and needs no link."""
    guest = world.backend.guest(name, [NIC])
    if network:
        start_network(guest)
    else:  # with MSI it must stay down: the driver's own test of it gives an emulated machine 100 ms, which may be too few
        guest.sh(f"modprobe e1000e IntMode={dict(msi=1, msix=2)[mode]}")
    check_vectors(world, NIC, mode, {"msi": 1, "msix": 3}[mode])
    check(messages_on(world.lab, NIC) == [{"msi": "MSI", "msix": "MSI-X"}[mode], "bus mastering"], "the interrupts are not on")
    return guest


def left_behind(lab, domains):
    """What Xen, dom0's kernel and xenstore still have of domains that are gone."""
    lab.sh("xl debug-keys i; xl debug-keys g; xl debug-keys q; sleep 1")
    log = lab.sh("xl dmesg -c")
    lab.save_log("debug-keys.log", log.encode())
    found = [line for line in log.splitlines() for domain in domains
             if re.search(rf"\bd{domain}:|remote d{domain}\b|General information for domain {domain}:", line)]
    return found + [f"backend/pci/{domain}" for domain in domains if not lab.run(f"xenstore-exists /local/domain/0/backend/pci/{domain}")[0]]


def kept_open(lab):
    """How many descriptors the daemon has, how many its keeper of guards, and how many ports dom0 has. Of the daemon's the fewest of
    some looks: a request that it carries out, or a worker that has just begun, has some for a moment."""
    counted = "for each in $(pidof pcibackd-guard); do ls /proc/$each/fd; done | wc -l"
    looks = "for look in 1 2 3 4; do ls /proc/$(cat /run/pcibackd.pid)/fd | wc -l; sleep 0.5; done | sort -n | head -n 1"
    descriptors, guards = (int(word) for word in lab.sh(f"{looks}; {counted}").split())
    lab.sh("xl dmesg -c > /dev/null; xl debug-keys e; sleep 1")
    ports = len(re.findall(r"^\(XEN\)\s+\d+ \[", lab.sh("xl dmesg -c").split("domain 1")[0], re.MULTILINE))
    return descriptors, guards, ports


def check_no_more(before, after):
    """Nothing that was opened since is open."""
    check(all(now <= then for then, now in zip(before, after)), f"descriptors, the keeper's and ports were {before} and are {after}")


def check_killed(world, guest, paused, console_start):
    """A guest's card works, and no log holds a warning; then the guest is destroyed."""
    lab = world.lab
    logs = {"guest": guest.dmesg(), "daemon": lab.read(world.backend.log).decode(errors="replace"),
            "Xen and dom0": lab.console.read_bytes()[console_start:].decode(errors="replace")}
    found = [f"{name}: {line}" for name, text in logs.items() for line in warnings(text)]
    check(not found, "\n    ".join(["warnings:", *found[:20]]))
    if paused:
        lab.sh(f"xl pause {guest.domain}")
    seconds = destroy(world, guest)
    # One that runs and answers takes what its driver takes to let go.
    check(not paused or seconds < 3, f"xl destroy took {seconds:.1f} s for a guest that ignores its backend")


def test_cycles(world):
    """Guests, one after the other, are destroyed with MSI-X or MSI on, paused or running: quickly, both bits read 0
    afterwards, the next guest has no trouble, and in the end nothing of any is left behind. One before them is drained."""
    lab = world.lab
    world.serve({NIC: {}})
    lab.sh(f": > {world.backend.log}")
    drained = guest_with_messages(world, "drained", "msix")
    lab.sh(f"pcibackctl drain {drained.domain}")
    destroy(world, drained)
    domains = [drained.domain]
    before = kept_open(lab)  # what is made once has been made
    console_start = lab.console.stat().st_size
    for number, (mode, paused) in enumerate(KILLS):
        network = mode == "msix" and number < 2
        guest = guest_with_messages(world, f"cycle{number}", mode, network)
        if network:
            guest.sh(f"ping -q -c 3 -i 0.2 {GATEWAY}")
        check_killed(world, guest, paused, console_start)
        domains.append(guest.domain)
    left, after = left_behind(lab, domains), kept_open(lab)
    check(not left, f"left behind: {left[:20]}")
    check_no_more(before, after)


TESTS = (test_cycles,)
