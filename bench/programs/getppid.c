/* A thousand system calls that do next to nothing. */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t iterate(void) {
  long first = syscall(SYS_getppid), same = 1;
  for (int i = 0; i < 1000; i++) same &= syscall(SYS_getppid) == first;
  return (uint64_t)same;
}

const struct program getppid_program = {.name = "getppid", .iterate = iterate};
