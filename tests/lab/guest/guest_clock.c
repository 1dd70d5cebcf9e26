// SPDX-License-Identifier: GPL-2.0-or-later
// The lab's stopwatch; busybox has none finer than 10 ms. Static, so that it runs in guest and dom0 alike.
//   guest_clock now                    microseconds of the monotonic clock
//   guest_clock config FILE ROUNDS     microseconds of each of ROUNDS reads of the 4 KiB of a configuration space
//   guest_clock probe FUNCTION LIMIT   prints "probe-add" when the PCI function appears, "probe-bind" when its driver
//   is bound guest_clock watch FILE OFFSET LIMIT WORD...  prints each word and when it came, in this order, behind the
//   file's
//                                      first OFFSET bytes: in dom0, with a guest's console log, what a guest says at
//                                      which time (the clocks of two domains differ). It waits without loading the
//                                      processor, which a shell loop would, to the cost of whatever is measured
//                                      meanwhile.
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long microseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int time_config(const char* path, int rounds) {
  char page[4096];
  for (int round = 0; round < rounds; ++round) {
    long long start = microseconds(CLOCK_MONOTONIC);
    int file = open(path, O_RDONLY);
    ssize_t size = file < 0 ? -1 : read(file, page, sizeof page);
    if (size != sizeof page) {
      fprintf(stderr, "%s: %zd bytes instead of %zu\n", path, size, sizeof page);
      return 1;
    }
    close(file);
    printf("%lld\n", microseconds(CLOCK_MONOTONIC) - start);
  }
  return 0;
}

// An event is "ACTION@DEVPATH" and then NAME=VALUE strings, each with its zero byte.
static int is_event(const char* event, const char* action, const char* function) {
  const char* at = strchr(event, '@');
  const char* last = strrchr(event, '/');
  return at && last && (size_t)(at - event) == strlen(action) && !strncmp(event, action, strlen(action)) &&
         !strcmp(last + 1, function);
}

static int say(const char* word) {
  printf("\n%s\n", word);
  return fflush(stdout);
}

static int wait_for_probe(const char* function, int limit_seconds) {
  int events = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
  if (events < 0 || bind(events, (struct sockaddr*)&address, sizeof address)) {
    perror("uevents");
    return 1;
  }
  long long deadline = microseconds(CLOCK_MONOTONIC) + limit_seconds * 1000000LL;
  struct pollfd ready = {events, POLLIN, 0};
  for (;;) {
    long long left = deadline - microseconds(CLOCK_MONOTONIC);
    if (left <= 0 || poll(&ready, 1, (int)(left / 1000) + 1) < 0)
      return 1;
    char event[8192];
    ssize_t size = recv(events, event, sizeof event - 1, MSG_DONTWAIT);
    if (size <= 0)
      continue;
    event[size] = 0;
    if (is_event(event, "add", function))
      say("probe-add");
    if (is_event(event, "bind", function))
      return say("probe-bind");
  }
}

static int watch(const char* path, off_t offset, int limit_seconds, int count, char** word) {
  static char text[1 << 20];
  size_t size = 0;
  int file = open(path, O_RDONLY);
  if (file < 0 || lseek(file, offset, SEEK_SET) < 0) {
    perror(path);
    return 1;
  }
  long long deadline = microseconds(CLOCK_MONOTONIC) + limit_seconds * 1000000LL;
  for (int next = 0; next < count;) {
    ssize_t more = read(file, text + size, sizeof text - 1 - size);
    size += more > 0 ? (size_t)more : 0;
    text[size] = 0;
    if (strstr(text, word[next])) {
      printf("%s %lld\n", word[next++], microseconds(CLOCK_MONOTONIC));
    } else if (microseconds(CLOCK_MONOTONIC) > deadline) {
      return 1;
    } else {
      usleep(4000);
    }
  }
  return 0;
}

int main(int count, char** word) {
  if (count == 2 && !strcmp(word[1], "now")) {
    printf("%lld\n", microseconds(CLOCK_MONOTONIC));
    return 0;
  }
  if (count == 4 && !strcmp(word[1], "config"))
    return time_config(word[2], atoi(word[3]));
  if (count == 4 && !strcmp(word[1], "probe"))
    return wait_for_probe(word[2], atoi(word[3]));
  if (count > 5 && !strcmp(word[1], "watch"))
    return watch(word[2], atol(word[3]), atoi(word[4]), count - 5, word + 5);
  fprintf(stderr,
          "usage: guest_clock now | config FILE ROUNDS | probe FUNCTION LIMIT | watch FILE OFFSET LIMIT WORD...\n");
  return 2;
}
