// The simplest domain: counts in registers and memory, and checks that both agree.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CELLS (1 << 18)

int main(int argc, char **argv) {
  uint64_t *cells = malloc(CELLS * sizeof *cells);
  for (uint64_t i = 0; i < CELLS; i++) cells[i] = i * 0x9e3779b97f4a7c15;
  double f = 0.5;
  for (uint64_t turn = 0;; turn++) {
    for (uint64_t i = 0; i < CELLS; i++)
      if (cells[i] != i * 0x9e3779b97f4a7c15 + turn) { printf("broken at %lu\n", (unsigned long)i); fflush(stdout); _exit(1); }
      else cells[i]++;
    f = f * 3.5 * (1 - f);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("turn %lu pid %d f %.6f t %ld\n", (unsigned long)turn, getpid(), f, (long)now.tv_sec);
    fflush(stdout);
    usleep(100000);
  }
}
