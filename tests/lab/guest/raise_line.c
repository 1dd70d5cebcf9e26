// SPDX-License-Identifier: GPL-2.0-or-later
// Has an e1000 raise its interrupt line as fast as its driver serves it, without any packet: writes the register that
// sets interrupt causes.
//   raise_line RESOURCE SECONDS PAUSE   RESOURCE: the function's resource0 in sysfs; PAUSE: microseconds of sleep
//   between
//                                       two; 0: none, and the line is raised again as soon as it is served
// The driver has the region, so the kernel must be started with iomem=relaxed.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { registers = 0x20000, interrupt_cause_set = 0xc8, descriptor_written_back = 1 };

int main(int count, char** words) {
  if (count != 4) {
    fprintf(stderr, "raise_line RESOURCE SECONDS PAUSE\n");
    return 2;
  }
  int file = open(words[1], O_RDWR | O_SYNC);
  void* bar = file < 0 ? MAP_FAILED : mmap(NULL, registers, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (bar == MAP_FAILED) {
    perror(words[1]);
    return 1;
  }
  volatile uint32_t* cause = (volatile uint32_t*)((char*)bar + interrupt_cause_set);
  const time_t end = time(NULL) + atol(words[2]);
  const useconds_t pause = (useconds_t)atol(words[3]);
  while (time(NULL) < end) {
    for (int turn = 0; turn < 64; ++turn) {
      *cause = descriptor_written_back;
      if (pause)
        usleep(pause);
    }
  }
  return 0;
}
