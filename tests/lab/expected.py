# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest must read of a function's configuration space, given what dom0 reads of it.

Written from the specification's tables of virtual fields (PCI header types 0, the PM capability, pciback's COMMAND
filter), and independent of the daemon's code: the lab compares the two.
"""
import struct

COMMAND, STATUS, BARS, ROM, INTERRUPT_LINE = 0x04, 0x06, 0x10, 0x30, 0x3C
CAPABILITIES = 0x34
PM, EXPRESS = 0x01, 0x10
GUEST_COMMAND = 0x02BC   # the bits that a guest reads from the hardware: MASTER, SPECIAL, INVALIDATE, VGA, WAIT, FAST_BACK
PME_SUPPORT = 0xF800     # in PMC: hidden, for a PV guest cannot be woken
PORTS, WIDE = 0x100, 0x4  # in the flags of sysfs's resource file: I/O ports; and the BAR's own bit for 64-bit memory

# Registers that the hardware changes by itself, so that two reads may differ: (name, offset, mask of the bits that do).
VOLATILE_HEADER = [("STATUS.INTERRUPT", STATUS, 0x0008)]
VOLATILE_EXPRESS = [("Device Status", 0x0A, 0xFFFF), ("Link Status", 0x12, 0xFFFF)]


def word(config, offset):
    return struct.unpack_from("<H", config, offset)[0]


def capabilities(config):
    """Offset of the first capability of each kind; bounded, for the list comes from hardware."""
    found, at = {}, config[CAPABILITIES] & ~3
    for _ in range(48):
        if at < 0x40:
            break
        found.setdefault(config[at], at)
        at = config[at + 1] & ~3
    return found


def resources(text):
    """sysfs's resource file: (start, size, flags) of each of the BARs and the ROM."""
    rows = [[int(number, 16) for number in line.split()] for line in text.splitlines()[:7]]
    return [(start, end - start + 1 if end else 0, flags) for start, end, flags in rows]


def bar_values(regions):
    """The six BARs: what each holds, and what it answers when it is asked for its size."""
    values, high = [], None
    for start, size, flags in regions[:6]:
        if high is not None:
            values.append((high[0] >> 32, (-high[1] >> 32) & 0xFFFFFFFF))
            high = None
        elif not size:
            values.append((0, 0))
        else:
            kind = flags & 0xF
            values.append(((start & 0xFFFFFFFF) | kind, (-size & 0xFFFFFFFF) | kind))
            high = (start, size) if flags & WIDE and not flags & PORTS else None
    return values


def rom_value(regions):
    """The ROM's register; its low bits are the host's flags, as the kernel's backend shows them."""
    start, size, flags = regions[6]
    return (start & 0xFFFFFFFF) | (flags & 0xF) if size else 0


def expected(host, regions, irq, command):
    """The guest's view of host, dom0's dump; command is what the guest last wrote to COMMAND.
    Returns the bytes and the mask of the bits that can be compared."""
    view, mask = bytearray(host), bytearray(b"\xff" * len(host))
    struct.pack_into("<H", view, COMMAND, (word(host, COMMAND) & GUEST_COMMAND) | (command & ~GUEST_COMMAND))
    for index, (value, _) in enumerate(bar_values(regions)):
        struct.pack_into("<I", view, BARS + 4 * index, value)
    struct.pack_into("<I", view, ROM, rom_value(regions))
    view[INTERRUPT_LINE] = irq & 0xFF
    found = capabilities(host)
    if PM in found:
        struct.pack_into("<H", view, found[PM] + 2, word(host, found[PM] + 2) & ~PME_SUPPORT)
    moving = VOLATILE_HEADER + [(name, found[EXPRESS] + at, bits) for name, at, bits in VOLATILE_EXPRESS if EXPRESS in found]
    for _, at, bits in moving:
        struct.pack_into("<H", mask, at, word(mask, at) & ~bits)
    return bytes(view), bytes(mask)


def differences(seen, wanted, mask):
    """One line a byte that is not as it should be; empty when all is well."""
    if len(seen) != len(wanted):
        return [f"{len(seen)} bytes instead of {len(wanted)}"]
    return [f"{at:03x}: {seen[at]:02x} instead of {wanted[at]:02x}" for at in range(len(wanted))
            if (seen[at] ^ wanted[at]) & mask[at]]
