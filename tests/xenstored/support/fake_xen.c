// SPDX-License-Identifier: GPL-2.0-or-later
/* Preloaded into an unmodified xenstored, so that it runs on a machine without Xen: stands in for the few calls that it
 * makes to libxenctrl, libxenevtchn and libxengnttab. Its world is the directory $FAKE_XEN_DIR:
 *   domains          lines "domid flags"; flags: 0 alive, 1 shut down, 2 dying
 *   evtchn           FIFO; a native int written to it is the port that fires in xenstored
 *   to-N             FIFO; gets a byte whenever xenstored notifies domain N
 *   ring-N           the page of domain N's xenstore ring
 *   xsd_kva xsd_port what xenstored opens in /proc/xen
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

enum { shut_down = 1, dying = 2, virq_port = 2, first_domain_port = 100, page_size = 4096 };

struct name {
  char text[512];
};

static struct name in_directory(const char* file) {
  struct name name;
  const char* directory = getenv("FAKE_XEN_DIR");
  snprintf(name.text, sizeof name.text, "%s/%s", directory ? directory : ".", file);
  return name;
}

static struct name of_domain(const char* file, unsigned domain) {
  char numbered[32];
  snprintf(numbered, sizeof numbered, "%s-%u", file, domain);
  return in_directory(numbered);
}

/* --- the files of /proc/xen --- */

static int redirected_open(const char* path, int flags, mode_t mode) {
  static const char proc[] = "/proc/xen/";
  static int (*real_open)(const char*, int, ...);
  if (!real_open)
    *(void**)&real_open = dlsym(RTLD_NEXT, "open");
  if (strncmp(path, proc, sizeof proc - 1) != 0)
    return real_open(path, flags, mode);
  const struct name name = in_directory(path + sizeof proc - 1);
  return real_open(name.text, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return redirected_open(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return redirected_open(path, flags, mode);
}

/* --- libxenctrl: which domains there are --- */

static char handle; /* something to point to */

xc_interface* xc_interface_open(xentoollog_logger* logger, xentoollog_logger* builder, unsigned flags) {
  (void)logger, (void)builder, (void)flags;
  return (xc_interface*)&handle;
}

int xc_interface_close(xc_interface* xen) {
  (void)xen;
  return 0;
}

/* Finds the domain with the lowest number from `first` on. */
static bool next_domain(uint32_t first, uint32_t* domain, unsigned* flags) {
  bool found = false;
  unsigned listed, its_flags;
  FILE* domains = fopen(in_directory("domains").text, "re");
  while (domains && fscanf(domains, "%u %u", &listed, &its_flags) == 2) {
    if (listed < first || (found && listed >= *domain))
      continue;
    found = true;
    *domain = listed;
    *flags = its_flags;
  }
  if (domains)
    fclose(domains);
  return found;
}

#ifdef HAS_GETINFO_SINGLE
/* Since Xen 4.18, instead of xc_domain_getinfo. */
int xc_domain_getinfo_single(xc_interface* xen, uint32_t domain, xc_domaininfo_t* info) {
  if (xc_domain_getinfolist(xen, domain, 1, info) == 1 && info->domain == domain)
    return 0;
  errno = ESRCH;
  return -1;
}
#else
int xc_domain_getinfo(xc_interface* xen, uint32_t first, unsigned limit, xc_dominfo_t* info) {
  unsigned count = 0, flags = 0;
  uint32_t domain = 0;
  (void)xen;
  for (; count < limit && next_domain(first, &domain, &flags); first = domain + 1, ++count) {
    memset(&info[count], 0, sizeof info[count]);
    info[count].domid = domain;
    info[count].shutdown = (flags & shut_down) != 0;
    info[count].dying = (flags & dying) != 0;
  }
  return (int)count;
}
#endif

int xc_domain_getinfolist(xc_interface* xen, uint32_t first, unsigned limit, xc_domaininfo_t* info) {
  unsigned count = 0, flags = 0;
  uint32_t domain = 0;
  (void)xen;
  for (; count < limit && next_domain(first, &domain, &flags); first = domain + 1, ++count) {
    memset(&info[count], 0, sizeof info[count]);
    info[count].domain = (domid_t)domain;
    info[count].flags = (flags & shut_down ? XEN_DOMINF_shutdown : 0U) | (flags & dying ? XEN_DOMINF_dying : 0U);
  }
  return (int)count;
}

/* --- libxenevtchn: FIFOs --- */

struct xenevtchn_handle {
  int descriptor;
};

xenevtchn_handle* xenevtchn_open(struct xentoollog_logger* logger, unsigned flags) {
  const struct name fifo = in_directory("evtchn");
  struct xenevtchn_handle* channels = malloc(sizeof *channels);
  (void)logger, (void)flags;
  if (!channels)
    return NULL;
  mkfifo(fifo.text, 0600);
  channels->descriptor = redirected_open(fifo.text, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  return channels;
}

xenevtchn_handle* xenevtchn_fdopen(struct xentoollog_logger* logger, int descriptor, unsigned flags) {
  (void)descriptor;
  return xenevtchn_open(logger, flags);
}

int xenevtchn_close(xenevtchn_handle* channels) {
  close(channels->descriptor);
  free(channels);
  return 0;
}

int xenevtchn_fd(xenevtchn_handle* channels) { return channels->descriptor; }

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle* channels, unsigned virq) {
  (void)channels, (void)virq;
  return virq_port;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle* channels, uint32_t domain, evtchn_port_t port) {
  (void)channels, (void)port;
  return first_domain_port + (int)domain;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle* channels) {
  int port;
  return read(channels->descriptor, &port, sizeof port) == sizeof port ? port : -1;
}

int xenevtchn_unmask(xenevtchn_handle* channels, evtchn_port_t port) {
  (void)channels, (void)port;
  return 0;
}

int xenevtchn_unbind(xenevtchn_handle* channels, evtchn_port_t port) {
  (void)channels, (void)port;
  return 0;
}

int xenevtchn_notify(xenevtchn_handle* channels, evtchn_port_t port) {
  const struct name fifo = of_domain("to", port - first_domain_port);
  const int descriptor = redirected_open(fifo.text, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
  (void)channels;
  if (descriptor < 0)
    return 0; /* as with a peer that is gone */
  const bool told = write(descriptor, "", 1) == 1 || errno == EAGAIN;
  close(descriptor);
  return told ? 0 : -1;
}

/* --- libxengnttab: the ring's page is a file --- */

xengnttab_handle* xengnttab_open(struct xentoollog_logger* logger, unsigned flags) {
  (void)logger, (void)flags;
  return (xengnttab_handle*)&handle;
}

int xengnttab_close(xengnttab_handle* table) {
  (void)table;
  return 0;
}

int xengnttab_set_max_grants(xengnttab_handle* table, uint32_t count) {
  (void)table, (void)count;
  return 0;
}

void* xengnttab_map_grant_ref(xengnttab_handle* table, uint32_t domain, uint32_t reference, int protection) {
  const int descriptor = redirected_open(of_domain("ring", domain).text, O_RDWR | O_CLOEXEC, 0);
  (void)table, (void)reference;
  if (descriptor < 0)
    return NULL;
  void* page = mmap(NULL, page_size, protection, MAP_SHARED, descriptor, 0);
  close(descriptor);
  return page == MAP_FAILED ? NULL : page;
}

int xengnttab_unmap(xengnttab_handle* table, void* page, uint32_t count) {
  (void)table;
  return munmap(page, (size_t)count * page_size);
}
