# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's tests. Each is a function of a World, named test_*, and passes unless it raises.

They share one boot and, where they can, guests: a guest costs some 20 s. World.pair() is two guests, each with a device;
a test that needs another daemon ends the one that runs with World.serve.
"""
import hashlib
import re
import time

import expected
from lab import DISK, LEGACY, NIC

FUNCTION = "/sys/bus/pci/devices/0000:00:00.0"  # where a guest finds its only function
GATEWAY = "10.0.2.2"                            # QEMU's, which answers echo requests even of a restricted network

# What no log may show while all goes well.
WARNING = re.compile(r"WARNING|\bBUG\b|Oops|Call Trace|panic|not responding|nobody cared|going away|fail|error|unable|"
                     r"could ?n[o']t|cannot|timed out|timeout|denied|refused|\binvalid\b|insecure|\bwarn|\bcritical\b", re.IGNORECASE)
# What Debian's kernel says in a guest without any device too.
HARMLESS = re.compile(r"DMI not present or invalid\.|tsc: Fast TSC calibration failed|"
                      r"AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug\.|"
                      r"RAS: Correctable Errors collector initialized\.")


def check(condition, text):
    """Fails the test with a text that says what was seen."""
    if not condition:
        raise AssertionError(text)


class World:
    """The lab, the backend that serves now, and the guests that tests share."""

    def __init__(self, lab, backend_type):
        self.lab, self.backend_type = lab, backend_type
        self.backend, self._pair = None, None

    def serve(self, devices, **more):
        """Starts a backend for these devices with their policy; the one before is ended. more: as the backend takes it."""
        self.end()
        self.backend = self.backend_type(self.lab, devices, **more)
        return self.backend

    def pair(self):
        """Two guests at once: one with the network card, one with the disk; no driver is loaded yet."""
        if not self._pair:
            backend = self.serve({NIC: {}, DISK: {}, LEGACY: {}})
            self._pair = backend.guest("nic", [NIC]), backend.guest("disk", [DISK])
        return self._pair

    def replace_disk_guest(self, guest):
        """A new guest takes the place of the pair's second, which has ended."""
        self._pair = self._pair[0], guest

    def end(self):
        """Ends the backend and all guests."""
        backend, self.backend, self._pair = self.backend, None, None
        if backend:
            backend.stop()

    @property
    def is_daemon(self):
        """Whether pcibackd serves, which can be asked for more than the kernel's backend."""
        return hasattr(self.backend, "list")


def interrupts(guest, name):
    """The guest's interrupts whose last word matches name: {name: (kind, count)}."""
    found = {}
    for line in guest.sh("cat /proc/interrupts").splitlines():
        words = line.split()
        if len(words) > 3 and words[1].isdigit() and re.fullmatch(name, words[-1]):
            found[words[-1]] = (" ".join(words[2:-1]), int(words[1]))
    return found


def start_network(guest):
    """Loads the card's driver and waits for its link."""
    guest.sh("modprobe e1000e; ip addr show eth0 | grep -q 10.0.2.15 || { ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; }",
             150)  # it may still boot, and others with it
    guest.sh("for i in $(seq 100); do [ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ] && exit 0; sleep 0.2; done; exit 1", 60)


def start_disk(guest):
    """Loads the disk's driver and waits for the disk."""
    guest.sh("modprobe nvme; for i in $(seq 200); do [ -e /dev/nvme0n1 ] && exit 0; sleep 0.2; done; exit 1", 90)


def check_disk_content(world, guest):
    """The whole disk, read past the page cache, is the image that this run made."""
    got = guest.sh("dd if=/dev/nvme0n1 bs=256k iflag=direct 2>/dev/null | sha256sum", 120).split()[0]
    check(got == hashlib.sha256(world.lab.disk).hexdigest(), f"the guest read other bytes: SHA-256 {got}")


def check_vectors(world, address, mode, count):
    """The daemon's own account of a function's interrupts agrees with what the guest uses."""
    if world.is_daemon:
        account = world.backend.function(address)
        check(account["mode"] == mode and len(account["vectors"]) == count,
              f"pcibackd says mode {account['mode']}, vectors {account['vectors']}")


def host_config(lab, address):
    """The function's configuration space as dom0 reads it."""
    return lab.read(f"/sys/bus/pci/devices/{address}/config")


def guest_config(guest):
    """The function's configuration space as the guest reads it."""
    status, content = guest.run(f"cat {FUNCTION}/config", 90)
    check(not status, f"guest {guest.name} cannot read {FUNCTION}/config")
    return content


def check_view(world, guest, address, command):
    """The guest's whole configuration space is what the specification makes of dom0's."""
    lab = world.lab
    regions = expected.resources(lab.sh(f"cat /sys/bus/pci/devices/{address}/resource"))
    irq = int(lab.sh(f"cat /sys/bus/pci/devices/{address}/irq"))
    host, seen = host_config(lab, address), guest_config(guest)
    lab.save_log(f"config-{guest.name}.host", host)
    lab.save_log(f"config-{guest.name}.guest", seen)
    wanted, mask = expected.expected(host, regions, irq, command)
    wrong = expected.differences(seen, wanted, mask)
    check(not wrong, f"{address}: " + "; ".join(wrong[:8]))
    return regions


def check_sizing(guest, regions):
    """Each BAR answers the sizing pattern with its size, and its address again afterwards."""
    script = "; ".join(f"old=$(setpci -s 0:0.0 {at:x}.l) && setpci -s 0:0.0 {at:x}.l=ffffffff && setpci -s 0:0.0 {at:x}.l && "
                       f"setpci -s 0:0.0 {at:x}.l=$old && setpci -s 0:0.0 {at:x}.l" for at in range(0x10, 0x28, 4))
    answers = [int(text, 16) for text in guest.sh(script).split()]
    for index, (address, size) in enumerate(expected.bar_values(regions)):
        got = answers[2 * index], answers[2 * index + 1]
        check(got == (size, address), f"BAR {index} answers {got[0]:08x}, {got[1]:08x} instead of {size:08x}, {address:08x}")


def check_command(world, guest, address):
    """What a guest writes to COMMAND it reads back, and the host's bits stay the host's."""
    before = expected.word(host_config(world.lab, address), expected.COMMAND)
    old = guest.sh("setpci -s 0:0.0 COMMAND").strip()
    guest.sh("setpci -s 0:0.0 COMMAND=0140")
    shown = int(guest.sh("setpci -s 0:0.0 COMMAND"), 16)
    after = expected.word(host_config(world.lab, address), expected.COMMAND)
    guest.sh(f"setpci -s 0:0.0 COMMAND={old}")
    check(shown & ~expected.GUEST_COMMAND == 0x0140, f"COMMAND reads {shown:04x} after 0140 was written")
    check(after & 0x0543 == before & 0x0543, f"the guest changed the hardware's COMMAND from {before:04x} to {after:04x}")
    return int(old, 16)


def test_virtual_fields(world):
    """Every field of the configuration space that a guest reads is what the specification says of it."""
    for guest, address in zip(world.pair(), (NIC, DISK)):
        command = check_command(world, guest, address)
        regions = check_view(world, guest, address, command)
        check_sizing(guest, regions)


def test_nic_msix(world):
    """A guest's e1000e has three MSI-X vectors, its link is up and its interrupts arrive."""
    guest = world.pair()[0]
    start_network(guest)
    before = interrupts(guest, "eth0.*")
    check(len(before) == 3 and all("msi-x" in kind for kind, _ in before.values()), f"interrupts: {before}")
    guest.sh(f"ping -q -c 20 -i 0.1 {GATEWAY}")
    after = interrupts(guest, "eth0.*")
    # 20 answers came in and 20 requests went out; the card may report several with one interrupt.
    for queue in ("eth0-rx-0", "eth0-tx-0"):
        check(after[queue][1] - before[queue][1] >= 10, f"{queue}: {before[queue][1]} then {after[queue][1]} interrupts")
    check(after["eth0"][1] >= 1, f"no interrupt told of the link: {after}")
    check_vectors(world, NIC, "msix", 3)


def test_disk_msix(world):
    """A guest's NVMe disk has its two MSI-X vectors, and reads as what it holds."""
    guest = world.pair()[1]
    start_disk(guest)
    check_disk_content(world, guest)
    used = interrupts(guest, "nvme0q.*")
    check(len(used) == 2 and all("msi-x" in kind and count > 0 for kind, count in used.values()), f"interrupts: {used}")
    check_vectors(world, DISK, "msix", 2)


def test_two_guests(world):
    """Two guests use their devices at the same time, and neither sees the other's."""
    nic, disk = world.pair()
    start_network(nic)
    start_disk(disk)
    nic.sh(f"ping -q -c 40 -i 0.2 {GATEWAY} > /tmp/ping 2>&1 &")
    check_disk_content(world, disk)
    nic.sh("wait; for i in $(seq 100); do grep -q 'packet loss' /tmp/ping && exit 0; sleep 0.2; done; exit 1")
    lost = nic.sh("cat /tmp/ping")
    check(" 0% packet loss" in lost, f"packets were lost: {lost}")
    for guest, vendor in ((nic, "0x8086"), (disk, "0x1b36")):
        seen = guest.sh("cat /sys/bus/pci/devices/*/vendor").split()
        check(seen == [vendor], f"guest {guest.name} sees functions of {seen}")


def check_quiet(world, address):
    """A function that no guest has neither interrupts nor reaches memory."""
    config = host_config(world.lab, address)
    control = expected.word(config, expected.capabilities(config)[0x11] + 2)
    command = expected.word(config, expected.COMMAND)
    check(not control & 0x8000, f"MSI-X control still reads {control:04x}")
    check(not command & 0x0004, f"COMMAND still reads {command:04x}")


def warnings(text):
    """Lines of a log that tell of trouble."""
    return [line for line in text.splitlines() if WARNING.search(line) and not HARMLESS.search(line)]


def test_restart(world):
    """A guest is shut down in order and started again with its disk; no log holds a warning."""
    lab = world.lab
    guest = world.pair()[1]
    start_disk(guest)
    logs = {"guest": guest.dmesg()}
    console_start = lab.console.stat().st_size
    guest.shut_down()
    world.backend.guests.remove(guest)
    check_quiet(world, DISK)
    again = world.backend.guest("disk", [DISK])
    start_disk(again)
    check_disk_content(world, again)
    logs["guest, second start"] = again.dmesg()
    logs["Xen and dom0"] = lab.console.read_bytes()[console_start:].decode(errors="replace")
    if world.backend.log:
        logs["daemon"] = lab.read(world.backend.log).decode(errors="replace")
    world.replace_disk_guest(again)
    found = [f"{name}: {line}" for name, text in logs.items() for line in warnings(text)]
    check(not found, "\n    ".join(["warnings:", *found[:20]]))


def test_disk_intx(world):
    """With MSI-X refused by policy the same disk works on its interrupt line."""
    guest = world.serve({DISK: {"msix": False}}).guest("intx", [DISK])
    start_disk(guest)
    check_disk_content(world, guest)
    used = interrupts(guest, "nvme0q.*")
    check(len(used) == 1 and all("msi" not in kind and count > 0 for kind, count in used.values()), f"interrupts: {used}")
    if world.is_daemon:
        account = world.backend.function(DISK)
        check(account["mode"] not in ("msi", "msix") and not account["vectors"], f"pcibackd says {account}")


TESTS = (test_virtual_fields, test_nic_msix, test_disk_msix, test_two_guests, test_restart, test_disk_intx)
