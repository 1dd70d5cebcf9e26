# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual functions of a card whose physical function stays dom0's; the card is the NVMe controller behind the root port."""
import time

from cases import check


def make_virtual_functions(lab):
    """Two virtual functions that no driver of dom0's takes; their physical function has its own. Returns that and them."""
    physical = lab.sh("basename $(dirname $(ls /sys/bus/pci/devices/*/sriov_totalvfs))").strip()
    path = f"/sys/bus/pci/devices/{physical}"
    # The driver is to have this one function, and not the disk.
    lab.sh(f"echo 0 > /sys/bus/pci/drivers_autoprobe; modprobe nvme; echo {physical} > /sys/bus/pci/drivers/nvme/bind; "
           f"echo 1 > /sys/bus/pci/drivers_autoprobe; echo 0 > {path}/sriov_drivers_autoprobe; echo 2 > {path}/sriov_numvfs")
    return physical, lab.sh(f"for i in 0 1; do basename $(readlink {path}/virtfn$i); done").split()


def check_virtual_function(world, guest, address):
    """The guest's driver had its MSI-X vector mapped and enabled; this model gives it no queues, so it soon gave up."""
    guest.sh("modprobe nvme")
    wanted, log = f"{address}: domain {guest.domain} uses msix, 1 vectors", ""
    for _ in range(60):
        log = world.lab.read(world.backend.log).decode(errors="replace")
        if wanted in log:
            break
        time.sleep(0.5)
    check(wanted in log, f"pcibackd does not say '{wanted}': {log[-1000:]}")
    account = world.backend.function(address)
    check(account["state"] == "leased" and account["gsi"] == 0, f"{address}: pcibackd says {account}")
    seen = guest.sh("cat /sys/bus/pci/devices/*/vendor /sys/bus/pci/devices/*/device").split()
    check(seen == ["0x1b36", "0x0010"], f"the guest sees {seen}")


def test_virtual_functions(world):
    """Virtual functions are held when they appear, two guests have one each with its MSI-X, and their physical function's
    driver takes them along in order."""
    lab = world.lab
    world.end()
    physical, functions = make_virtual_functions(lab)
    backend = world.serve({function: {} for function in functions})
    path = f"/sys/bus/pci/devices/{physical}"
    lab.sh(f"echo 0 > {path}/sriov_numvfs")
    backend.wait_until_gone(functions)
    lab.sh(f"echo 2 > {path}/sriov_numvfs")
    backend.wait_until_held(functions)
    guests = [backend.guest(f"vf{index}", [function]) for index, function in enumerate(functions)]
    for guest, function in zip(guests, functions):
        check_virtual_function(world, guest, function)
    lab.sh(f"echo {physical} > /sys/bus/pci/drivers/nvme/unbind", 90)
    backend.wait_until_gone(functions)
    for guest in guests:
        left = guest.sh("ls /sys/bus/pci/devices").split()
        check(not left, f"guest {guest.name} still sees {left}")
    log = lab.read(backend.log).decode(errors="replace")
    check("this is a bug" not in log, log[-2000:])


TESTS = (test_virtual_functions,)
