// SPDX-License-Identifier: GPL-2.0-or-later
// What a device model does for its guest, without the guest: has a function assigned to it in Xen's eyes, maps vectors
// of MSI-X in the guest's name and lets the function send.
//
//   device_model start DOMAIN BUS:SLOT.FUNCTION TABLE CAPABILITY VECTORS
//   device_model stop DOMAIN PIRQ...
//
// The first prints the pirqs. TABLE: the address of the BAR with the table; CAPABILITY: MSI-X in the configuration
// space.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenctrl.h>

static void check(int failed, const char* what) {
  if (failed) {
    perror(what);
    exit(1);
  }
}

static void set_bits(int config, off_t offset, uint16_t bits) {
  uint16_t value;
  check(pread(config, &value, sizeof value, offset) != sizeof value, "read");
  value |= bits;
  check(pwrite(config, &value, sizeof value, offset) != sizeof value, "write");
}

static void start(xc_interface* xen, uint32_t domain, const char* address, uint64_t table, unsigned capability,
                  int vectors) {
  unsigned bus, slot, function;
  char path[64];
  check(sscanf(address, "%x:%x.%x", &bus, &slot, &function) != 3, address);
  const int devfn = (int)(slot << 3 | function);
  check(xc_assign_device(xen, domain, bus << 8 | (unsigned)devfn, 0) != 0, "assign");
  snprintf(path, sizeof path, "/sys/bus/pci/devices/0000:%02x:%02x.%x/config", bus, slot, function);
  const int config = open(path, O_RDWR);
  check(config < 0, path);
  set_bits(config, 4, 0x0006); /* memory decode, bus mastering */
  for (int entry = 0; entry < vectors; ++entry) {
    int pirq = -1;
    check(xc_physdev_map_pirq_msi(xen, domain, -1, &pirq, devfn, (int)bus, entry, table) != 0, "map");
    printf("%d ", pirq);
  }
  printf("\n");
  set_bits(config, (off_t)capability + 2, 0x8000);
}

int main(int count, char** words) {
  check(count < 4, "usage");
  xc_interface* xen = xc_interface_open(NULL, NULL, 0);
  check(xen == NULL, "Xen");
  const uint32_t domain = (uint32_t)atoi(words[2]);
  if (strcmp(words[1], "start") == 0 && count == 7) {
    start(xen, domain, words[3], strtoull(words[4], NULL, 0), (unsigned)strtoul(words[5], NULL, 0), atoi(words[6]));
  } else {
    for (int word = 3; word < count; ++word)
      check(xc_physdev_unmap_pirq(xen, (int)domain, atoi(words[word])) != 0, "unmap");
  }
  return 0;
}
