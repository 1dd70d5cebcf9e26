// SPDX-License-Identifier: GPL-2.0-or-later
// Serves a guest's configuration reads with the least that a process needs for it: waits for the event, reads the
// register, answers, lets the next event through. It checks nothing and filters nothing: what it takes no backend in
// user space can go below. For a guest whose backend has just ended.
//   bare_loop DOMAIN GRANT-REFERENCE EVENT-CHANNEL CONFIG-FILE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/xen.h> // domid_t

#include <xen/evtchn.h>
#include <xen/grant_table.h>

#include <xen/gntdev.h>

// Source: xen/io/pciif.h.
struct shared_page {
  volatile uint32_t flags;
  uint32_t cmd;
  int32_t err;
  uint32_t domain, bus, devfn;
  int32_t offset, size;
  uint32_t value;
};
enum { active = 1, conf_read = 0 };

static int fail(const char* what) {
  perror(what);
  return EXIT_FAILURE;
}

int main(int count, char** words) {
  if (count != 5)
    return EXIT_FAILURE;
  const domid_t domain = (domid_t)atoi(words[1]);
  int channels = open("/dev/xen/evtchn", O_RDWR), grants = open("/dev/xen/gntdev", O_RDWR),
      config = open(words[4], O_RDONLY);
  if (channels < 0 || grants < 0 || config < 0)
    return fail("open");
  struct ioctl_evtchn_bind_interdomain bound = {.remote_domain = domain, .remote_port = (unsigned)atoi(words[3])};
  const int local = ioctl(channels, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bound);
  if (local < 0)
    return fail("bind");
  struct ioctl_gntdev_map_grant_ref granted = {.count = 1,
                                               .refs = {{.domid = domain, .ref = (uint32_t)atoi(words[2])}}};
  if (ioctl(grants, IOCTL_GNTDEV_MAP_GRANT_REF, &granted) != 0)
    return fail("grant");
  struct shared_page* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, grants, (off_t)granted.index);
  if (page == MAP_FAILED)
    return fail("map");
  puts("serves");
  fflush(stdout);
  for (;;) {
    if (page->flags & active) {
      uint32_t value = 0;
      const int readable = page->cmd == conf_read && page->size > 0 && page->size <= 4;
      page->err = readable && pread(config, &value, (size_t)page->size, page->offset) > 0 ? 0 : -5;
      page->value = value;
      __atomic_fetch_and(&page->flags, ~(uint32_t)active, __ATOMIC_SEQ_CST);
    }
    uint32_t port = (uint32_t)local;
    if (write(channels, &port, sizeof port) != sizeof port || read(channels, &port, sizeof port) != sizeof port)
      return fail("event channel");
  }
}
