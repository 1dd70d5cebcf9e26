// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

#include "pci/function.hpp"

/// Functions as a host would describe them, built register by register after the devices of a real machine.
namespace test {

inline void put(pci::function& function, std::size_t offset, unsigned width, std::uint32_t value) {
  for (unsigned i = 0; i < width; ++i)
    function.config.at(offset + i) = static_cast<std::byte>(value >> (8 * i));
}

inline pci::function blank(std::size_t size, std::uint16_t vendor, std::uint16_t device) {
  pci::function made;
  made.address = pci::make_sbdf(0, 0, 3, 0);
  made.vendor = vendor;
  made.device = device;
  made.config.resize(size);
  put(made, 0x00, 2, vendor);
  put(made, 0x02, 2, device);
  return made;
}

/// QEMU's e1000e: PM at c8, MSI (64 bits, not maskable) at d0, Express at e0, MSI-X (5 entries, in BAR 3) at a0, AER
/// and serial number in the extended space; three memory BARs, one of ports, and a ROM.
inline pci::function e1000e() {
  pci::function made = blank(4096, 0x8086, 0x10d3);
  made.class_code = 0x020000;
  made.irq = 23; // the register says 11
  made.resources[0] = {0xfeb80000, 0xfeb9ffff, 0x40200};
  made.resources[1] = {0xfeba0000, 0xfebbffff, 0x40200};
  made.resources[2] = {0xc040, 0xc05f, 0x40101};
  made.resources[3] = {0xfebd0000, 0xfebd3fff, 0x40200};
  made.resources[6] = {0xfeb00000, 0xfeb3ffff, 0x46202};
  put(made, 0x04, 4, 0x00100107); // SERR, MASTER, MEMORY, IO; capability list
  put(made, 0x08, 4, 0x02000000);
  put(made, 0x10, 4, 0xfeb80000);
  put(made, 0x14, 4, 0xfeba0000);
  put(made, 0x18, 4, 0x0000c041);
  put(made, 0x1c, 4, 0xfebd0000);
  put(made, 0x2c, 4, 0x00008086);
  put(made, 0x30, 4, 0xfeb00000);
  put(made, 0x34, 1, 0xc8);
  put(made, 0x3c, 4, 0x0000010b);
  put(made, 0xc8, 4, 0xc823d001); // PM: PME from D0 and D3, D1 and D2 not there
  put(made, 0xcc, 4, 0x00002000);
  put(made, 0xd0, 4, 0x0080e005); // MSI
  put(made, 0xe0, 4, 0x0001a010); // Express
  put(made, 0xe4, 4, 0x00008cc0);
  put(made, 0xa0, 4, 0x00040011); // MSI-X, 5 entries
  put(made, 0xa4, 4, 0x00000003);
  put(made, 0xa8, 4, 0x00002003);
  put(made, 0x100, 4, 0x14020001); // AER version 2
  put(made, 0x140, 4, 0x00010003); // serial number
  return made;
}

/// QEMU's NVMe controller: one 64-bit BAR, MSI-X (65 entries) at 40, Express at 80, PM at 60; no ROM.
inline pci::function nvme() {
  pci::function made = blank(4096, 0x1b36, 0x0010);
  made.address = pci::make_sbdf(0, 0, 4, 0);
  made.class_code = 0x010802;
  made.irq = 20;
  made.resources[0] = {0x8'0000'0000, 0x8'0000'3fff, 0x140204};
  put(made, 0x04, 4, 0x00100406); // INTX_DISABLE from dom0's driver
  put(made, 0x08, 4, 0x01080202);
  put(made, 0x10, 4, 0x00000004);
  put(made, 0x14, 4, 0x00000008);
  put(made, 0x2c, 4, 0x11001af4);
  put(made, 0x34, 1, 0x40);
  put(made, 0x3c, 4, 0x0000010b);
  put(made, 0x40, 4, 0x00408011); // MSI-X, 65 entries
  put(made, 0x44, 4, 0x00002000);
  put(made, 0x48, 4, 0x00003000);
  put(made, 0x80, 4, 0x00026010); // Express
  put(made, 0x60, 4, 0x00030001); // PM
  return made;
}

/// A virtual function of that controller: ids ffff in its own register, no line, and BARs that only the host knows.
inline pci::function virtual_function() {
  pci::function made = nvme();
  made.address = pci::make_sbdf(0, 1, 0, 1);
  made.physical_function = pci::make_sbdf(0, 1, 0, 0);
  made.irq = 0;
  put(made, 0x00, 4, 0xffffffff);
  put(made, 0x04, 2, 0x0000);
  put(made, 0x10, 4, 0);
  put(made, 0x14, 4, 0);
  put(made, 0x3c, 4, 0);
  return made;
}

/// A conventional card of 256 bytes with VPD at 50, PM (all states) at 60, a vendor's capability at 70, and ports.
inline pci::function legacy_card() {
  pci::function made = blank(256, 0x10ec, 0x8139);
  made.class_code = 0x020000;
  made.irq = 10;
  made.resources[0] = {0xc000, 0xc0ff, 0x40101};
  put(made, 0x04, 4, 0x02900003);
  put(made, 0x08, 4, 0x02000020);
  put(made, 0x0c, 4, 0x80004000); // capable of a self-test
  put(made, 0x10, 4, 0x0000c001);
  put(made, 0x28, 4, 0x00001001);
  put(made, 0x2c, 4, 0x813910ec);
  put(made, 0x34, 1, 0x50);
  put(made, 0x3c, 4, 0x4020010a);
  put(made, 0x50, 4, 0x00006003); // VPD
  put(made, 0x54, 4, 0xcafe0082);
  put(made, 0x60, 4, 0xf7427001); // PM
  put(made, 0x64, 4, 0xab008008); // PME_Status
  put(made, 0x70, 4, 0x00080009); // vendor's own
  return made;
}

/// A bridge: header type 1, MSI (maskable) at 48.
inline pci::function bridge() {
  pci::function made = blank(256, 0x1b36, 0x000c);
  made.class_code = 0x060400;
  made.irq = 16;
  made.resources[0] = {0xfe000000, 0xfe000fff, 0x40200};
  made.resources[6] = {0xfe010000, 0xfe0107ff, 0x46200};
  put(made, 0x04, 4, 0x00100102);
  put(made, 0x08, 4, 0x06040000);
  put(made, 0x0c, 4, 0x00810000); // multi-function
  put(made, 0x10, 4, 0xfe000000);
  put(made, 0x18, 4, 0x00020100);
  put(made, 0x1c, 4, 0x0000d1c1);
  put(made, 0x20, 4, 0xfdf0fde0);
  put(made, 0x34, 1, 0x48);
  put(made, 0x38, 4, 0xfe010000);
  put(made, 0x3c, 4, 0x0002010b);
  put(made, 0x48, 4, 0x01000005);
  return made;
}

} // namespace test
