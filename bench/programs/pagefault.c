/* 256 pages mapped, touched and unmapped: page faults, and the kernel's clearing of pages. */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/mman.h>

#define PAGES 256

static uint64_t iterate(void) {
  unsigned char *at = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) die("mmap");
  /* A huge page would be one fault. */
  madvise(at, PAGES * 4096, MADV_NOHUGEPAGE);
  uint64_t sum = 0;
  for (int i = 0; i < PAGES; i++) {
    sum += at[i * 4096 + 8];
    at[i * 4096] = (unsigned char)i;
  }
  for (int i = 0; i < PAGES; i++) sum += at[i * 4096];
  if (munmap(at, PAGES * 4096) < 0) die("munmap");
  return sum;
}

const struct program pagefault_program = {.name = "pagefault", .iterate = iterate};
