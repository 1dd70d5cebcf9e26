# SPDX-License-Identifier: GPL-2.0-or-later
"""The package in a dom0 that is a real Debian with systemd: what an administrator does, in this order, for each test goes on
where the one before has ended. FIRST are those of the first boot, and AGAIN those of the boot after it.
"""
import json
import re
import time

from cases import check, check_disk_content, guest_config, start_disk
from lab import DISK, Guest

UNITS = ("pcibackd", "pcibackd-guard", "pcibackd-sysfs")
# What a service may do to the host, as systemd counts it: 10 is all.
EXPOSURE = {"pcibackd": 1.8, "pcibackd-guard": 1.5, "pcibackd-sysfs": 3.0}
APT = "DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends"
SETTINGS = f"""[daemon]
log_level = "info"

[[device]]
address = "{DISK}"
seize = true

[[assign]]
domain = "disk"
devices = ["{DISK}"]
"""


class World:
    """The lab, its guest, and how long what apt did has taken."""

    def __init__(self, lab):
        self.lab, self.guest, self.took = lab, None, {}

    def apt(self, name, words):
        """Has apt do something; returns what it said."""
        started = time.monotonic()
        said = self.lab.sh(f"{APT} {words} 2>&1", 600)
        self.took[name] = time.monotonic() - started
        print(f"  apt's {name} took {self.took[name]:.0f} s", flush=True)
        return said


def renew_initramfs(lab, when):
    """Whether apt has the initramfs made again at once, which takes a minute in emulation: yes or no."""
    lab.sh(f"sed -i 's/^update_initramfs=.*/update_initramfs={when}/' /etc/initramfs-tools/update-initramfs.conf")


def states(lab):
    """{unit: (ActiveState, main process)} of pcibackd's services."""
    found = {}
    for unit in UNITS:
        shown = dict(line.split("=", 1) for line in lab.sh(f"systemctl show -p ActiveState -p MainPID {unit}").splitlines())
        found[unit] = shown["ActiveState"], shown["MainPID"]
    return found


def check_services(lab):
    """All run; returns their main processes."""
    now = states(lab)
    if any(state != "active" for state, _ in now.values()):
        lab.save_log("status.log", lab.run(f"systemctl status -n 30 {' '.join(UNITS)}")[1])
        raise AssertionError(f"the services are {now}")
    return {unit: process for unit, (_, process) in now.items()}


def wait_until(what, limit, text):
    """Until a condition is true; fails with the text when the limit's seconds are over."""
    deadline = time.monotonic() + limit
    while not what():
        check(time.monotonic() < deadline, f"{text} within {limit} s")
        time.sleep(0.5)


def function(lab):
    """The daemon's account of the disk."""
    held = json.loads(lab.sh("pcibackctl list --json"))["functions"]
    return next((each for each in held if each["address"] == DISK), {"state": "not held"})


def check_guest(world):
    """The guest's disk works: configuration space, interrupts and memory."""
    status, content = world.guest.run("cat /sys/bus/pci/devices/*/config | head -c 4 | od -An -tx1", 90)
    check(not status and content.split() == [b"36", b"1b", b"10", b"00"], f"the guest's function is {content}")
    check_disk_content(world, world.guest)
    account = function(world.lab)
    check(account["state"] == "leased" and account["domain"] == world.guest.domain, f"pcibackd says {account}")


def read_on(world):
    """From now on the guest reads its disk and its configuration space over and over."""
    world.guest.sh("(while dd if=/dev/nvme0n1 bs=1M count=2 iflag=direct of=/dev/null 2>/dev/null && "
                   "cat /sys/bus/pci/devices/0000:00:00.0/config > /dev/null; do echo; done; echo ended) > /tmp/reads 2>&1 &")


def check_reads(world):
    """It still does, and has not failed once."""
    before = int(world.guest.sh("wc -l < /tmp/reads"))
    wait_until(lambda: int(world.guest.sh("wc -l < /tmp/reads")) > before, 60, "the guest does not read on")
    check("ended" not in world.guest.sh("tail -n 1 /tmp/reads"), f"the guest's reads failed after {before}")


def test_debian_boots(world):
    """systemd brings dom0 up, Xen's services with it, before pcibackd is there."""
    state = world.lab.run("systemctl is-system-running --wait", 300)[1].decode().strip()
    world.lab.save_log("boot.log", world.lab.run("systemd-analyze blame; systemctl --failed; journalctl -b --no-pager", 90)[1])
    check(state == "running", f"systemd says {state}: {world.lab.run('systemctl --failed --no-legend')[1].decode()}")
    check("Domain-0" in world.lab.sh("xl list"), "xl does not know dom0")


def test_apt_installs(world):
    """apt installs the package from a file; its services are enabled and run."""
    lab = world.lab
    renew_initramfs(lab, "no")
    world.apt("install", "install /root/pcibackd.deb")
    check_services(lab)
    for unit in UNITS:
        check(lab.sh(f"systemctl is-enabled {unit}").strip() == "enabled", f"{unit} is not enabled")
    lab.sh("pcibackctl list && pcibackd --check-config && ls /usr/share/man/man8/pcibackctl.8.gz")


def test_exposure(world):
    """systemd's own measure of what the services may do to the host."""
    for unit, limit in EXPOSURE.items():
        said = world.lab.sh(f"systemd-analyze security --no-pager {unit}.service | tail -n 1", 200)
        found = re.search(r"([0-9.]+) [A-Z]+", said)
        check(found and float(found[1]) <= limit, f"{unit}: at most {limit}, but {said}")
        print(f"  {unit}: {found[1]} of 10", flush=True)


def test_assigned(world):
    """With the settings of a guest that is to have the disk, it gets it by itself when xl creates it."""
    lab = world.lab
    lab.write("/etc/pcibackd/pcibackd.toml", SETTINGS)
    lab.sh("pcibackd --check-config && systemctl restart pcibackd", 120)
    wait_until(lambda: function(lab)["state"] == "held", 30, "pcibackd does not hold the disk")
    world.guest = Guest(lab, "disk")
    start_disk(world.guest)
    check_guest(world)


def test_upgrade(world):
    """apt upgrades the package while the guest uses its disk: another daemon serves it, and the keeper of the guards stays."""
    lab = world.lab
    before = check_services(lab)
    read_on(world)
    world.apt("upgrade", "install /root/pcibackd-newer.deb")
    after = check_services(lab)
    check(lab.sh("dpkg-query -W -f '${Version}' pcibackd").endswith("+newer"), "the newer version is not installed")
    check(before["pcibackd"] != after["pcibackd"], "the daemon is still the old one")
    check(all(before[unit] == after[unit] for unit in ("pcibackd-guard", "pcibackd-sysfs")), f"{before}, then {after}")
    check(lab.read("/etc/pcibackd/pcibackd.toml").decode() == SETTINGS, "the upgrade has changed the settings")
    check_reads(world)
    check_guest(world)


def test_service_restarts(world):
    """An administrator's restart, and systemd's own after the daemon was killed, go on with the guest."""
    lab = world.lab
    lab.sh("systemctl restart pcibackd", 120)
    check_reads(world)
    before = check_services(lab)["pcibackd"]
    lab.sh(f"kill -9 {before}")
    wait_until(lambda: states(lab)["pcibackd"][0] == "active" and states(lab)["pcibackd"][1] not in ("0", before), 60,
               "systemd does not start the daemon again")
    check_reads(world)
    check_guest(world)


def test_restart_of_dom0(world):
    """Debian makes an initramfs that hides the disk from dom0's driver, and restarts."""
    lab = world.lab
    lab.sh("ln -sf ../disk.cfg /etc/xen/auto/disk.cfg")
    renew_initramfs(lab, "yes")
    lab.sh("update-initramfs -u 2>&1", 600)
    renew_initramfs(lab, "no")
    check("pci-stub" in lab.sh("lsinitramfs /boot/initrd.img-*", 120), "the initramfs has no pci-stub")
    lab.save_log("first.log", lab.sh("journalctl -b --no-pager", 90).encode())
    world.guest.shut_down(90)
    lab.sh("systemd-run --quiet --on-active=3 systemctl --no-block reboot")  # the shell may end before it could answer
    lab.wait_for_end(240)


def test_comes_up(world):
    """After the restart all is there by itself: the services, the disk for them alone, the guest, and its disk."""
    lab = world.lab
    state = lab.run("systemctl is-system-running --wait", 400)[1].decode().strip()
    journal = lab.sh("journalctl -b --no-pager", 90)
    lab.save_log("second.log", journal.encode())
    check(state == "running", f"systemd says {state}: {lab.run('systemctl --failed --no-legend')[1].decode()}")
    check_services(lab)
    check(not re.search(rf"nvme .*{DISK}", journal), "dom0's own driver had the disk first")
    world.guest = Guest.running(lab, "disk")
    start_disk(world.guest)
    check_guest(world)


def test_removal(world):
    """Removed, the package says that the guest goes on, and it does; installed again, the guest is served again."""
    lab = world.lab
    guard = check_services(lab)["pcibackd-guard"]
    said = world.apt("removal", "remove pcibackd")
    check("guests that have PCI functions go on" in said, f"apt says: {said}")
    now = states(lab)
    check(now["pcibackd-guard"] == ("active", guard) and now["pcibackd"][0] == "inactive", f"the services are {now}")
    check_disk_content(world, world.guest)
    world.apt("second install", "install /root/pcibackd.deb")
    check_services(lab)
    check_guest(world)
    check(len(guest_config(world.guest)) >= 256, "the guest cannot read its configuration space")


FIRST = (test_debian_boots, test_apt_installs, test_exposure, test_assigned, test_upgrade, test_service_restarts, test_restart_of_dom0)
AGAIN = (test_comes_up, test_removal)
