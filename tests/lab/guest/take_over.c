// SPDX-License-Identifier: GPL-2.0-or-later
// A frontend that starts over without a word, from user space: another page, another event channel, state 3, whatever
// was there before. Then it uses the first function as a driver would, says how that went, and stays.
//   take_over VECTORS     prints "ID COMMAND ERROR", of the function and of enable_msix
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xen/xen.h> // domid_t

#include <xen/evtchn.h>
#include <xen/gntalloc.h>

#ifndef IOCTL_GNTALLOC_ALLOC_GREF
#define IOCTL_GNTALLOC_ALLOC_GREF _IOC(_IOC_NONE, 'G', 5, sizeof(struct ioctl_gntalloc_alloc_gref))
#endif

// Source: xen/io/pciif.h.
struct operation {
  uint32_t cmd;
  int32_t err;
  uint32_t domain, bus, devfn;
  int32_t offset, size;
  uint32_t value, info;
  struct {
    uint16_t vector, entry;
  } msix[128];
};
struct shared {
  uint32_t flags;
  struct operation op;
};
enum { CONF_READ = 0, CONF_WRITE = 1, ENABLE_MSIX = 4, ACTIVE = 1, AER_HANDLER = 2, PATIENCE_S = 20 };

static struct shared* page;
static int channel;
static unsigned port;

static int fail(const char* what) {
  perror(what);
  exit(1);
}

// Source: xen/io/xs_wire.h.
static void write_node(int store, const char* name, const char* value) {
  struct {
    uint32_t type, request, transaction, length;
    char text[256];
  } message = {.type = 11};
  int end = snprintf(message.text, sizeof message.text, "device/pci/0/%s", name) + 1;
  memcpy(message.text + end, value, strlen(value));
  message.length = (uint32_t)(end + (int)strlen(value));
  const ssize_t size = 16 + (ssize_t)message.length;
  if (write(store, &message, (size_t)size) != size || read(store, &message, sizeof message) < 16 || message.type != 11)
    fail(name);
}

static void write_number(int store, const char* name, unsigned value) {
  char text[16];
  snprintf(text, sizeof text, "%u", value);
  write_node(store, name, text);
}

static void publish(void) {
  int grants = open("/dev/xen/gntalloc", O_RDWR), store = open("/dev/xen/xenbus", O_RDWR);
  struct ioctl_gntalloc_alloc_gref grant = {.domid = 0, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1};
  struct ioctl_evtchn_bind_unbound_port bind = {.remote_domain = 0};
  channel = open("/dev/xen/evtchn", O_RDWR);
  if (grants < 0 || store < 0 || channel < 0 || ioctl(grants, IOCTL_GNTALLOC_ALLOC_GREF, &grant) != 0)
    fail("grant");
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, grants, (off_t)grant.index);
  const int bound = ioctl(channel, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind);
  if (page == MAP_FAILED || bound < 0)
    fail("channel");
  memset(page, 0, 4096);
  page->flags = AER_HANDLER;
  port = (unsigned)bound;
  write_number(store, "pci-op-ref", grant.gref_ids[0]);
  write_number(store, "event-channel", port);
  write_node(store, "magic", "7");
  write_node(store, "state", "3");
  write_node(store, "state", "4"); // it does not look at its backend
}

static struct operation perform(struct operation what) {
  page->op = what;
  __atomic_fetch_or(&page->flags, ACTIVE, __ATOMIC_SEQ_CST);
  struct ioctl_evtchn_notify notify = {.port = port};
  ioctl(channel, IOCTL_EVTCHN_NOTIFY, &notify);
  const time_t begun = time(NULL);
  while ((__atomic_load_n(&page->flags, __ATOMIC_SEQ_CST) & ACTIVE) != 0) {
    if (time(NULL) - begun > PATIENCE_S) {
      fprintf(stderr, "operation %u is not answered\n", what.cmd);
      exit(1);
    }
    usleep(1000);
  }
  return page->op;
}

int main(int count, char** words) {
  const unsigned vectors = count > 1 ? (unsigned)atoi(words[1]) : 0;
  publish();
  const struct operation id = perform((struct operation){.cmd = CONF_READ, .size = 4});
  const struct operation command = perform((struct operation){.cmd = CONF_READ, .offset = 4, .size = 2});
  perform((struct operation){.cmd = CONF_WRITE, .offset = 4, .size = 2, .value = 6});
  struct operation enable = {.cmd = ENABLE_MSIX, .value = vectors};
  for (unsigned i = 0; i < vectors && i < 128; ++i)
    enable.msix[i].entry = (uint16_t)i;
  printf("%08x %04x %d\n", id.value, command.value & 0xffff, vectors == 0 ? 0 : perform(enable).err);
  fflush(stdout);
  for (;;)
    pause();
}
