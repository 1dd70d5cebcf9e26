# SPDX-License-Identifier: GPL-2.0-or-later
"""Cards that go and come by way of the slot's own driver in dom0's kernel (pciehp), which has its chance where the firmware
leaves hot-plug to the system: in a boot of its own, for QEMU's firmware otherwise does it by ACPI. As in removal_cases.py."""
import removal_cases
from aer_cases import PORT
from cases import check

SLOT_CONTROL = "CAP_EXP+18.w"
POWER_OFF, POWER_ON = "0700:0700", "0100:0700"  # Power Controller Control and Power Indicator Control (PCI Express Base, 7.5.3.10)


def check_driver(world):
    """The slot is pciehp's."""
    world.lab.sh(f"[ -e /sys/bus/pci_express/drivers/pciehp/{PORT}:pcie* ]")


def test_pciehp_surprise(world):
    """The card is pulled out: the hardware is gone before anybody knows, and the interrupt of the slot tells pciehp so, which
    removes the function by its path for surprises."""
    lab = world.lab
    check_driver(world)
    # QEMU takes a card out of a slot whose power goes, and has the slot report that nothing is present any more. The power is
    # back before pciehp's thread runs, which would take a slot without power for one that it has emptied itself.
    pull = f"chrt -f 99 setpci -s {PORT} {SLOT_CONTROL}={POWER_OFF} {SLOT_CONTROL}={POWER_ON}"
    removal_cases.check_card(world, lambda card: lab.sh(pull), lambda: removal_cases.put_card_in(lab), let_go=False)
    said = lab.sh("dmesg")
    check("Card not present" in said and "Already disabled" not in said, "pciehp does not speak of a surprise")


def test_pciehp_button(world):
    """The slot's attention button is pressed: pciehp takes the card out in order, after its five seconds."""
    lab = world.lab
    check_driver(world)
    removal_cases.check_card(world, lambda card: lab.monitor("device_del", id="card"), lambda: removal_cases.put_card_in(lab))


TESTS = (test_pciehp_button, test_pciehp_surprise)
