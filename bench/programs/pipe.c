/* Two hundred round trips between two processes over a pair of pipes: context switches. */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/wait.h>
#include <unistd.h>

#define TRIPS 200

static uint64_t iterate(void) {
  int there[2], back[2];
  if (pipe(there) < 0 || pipe(back) < 0) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  uint32_t value = 1;
  if (pid == 0) {
    for (int i = 0; i < TRIPS; i++) {
      if (read(there[0], &value, sizeof value) != sizeof value) _exit(1);
      value = value * 1664525u + 1013904223u;
      if (write(back[1], &value, sizeof value) != sizeof value) _exit(1);
    }
    _exit(0);
  }
  for (int i = 0; i < TRIPS; i++) {
    if (write(there[1], &value, sizeof value) != sizeof value) die("write");
    if (read(back[0], &value, sizeof value) != sizeof value) die("read");
  }
  int status;
  if (waitpid(pid, &status, 0) != pid) die("waitpid");
  close(there[0]), close(there[1]), close(back[0]), close(back[1]);
  return mix((uint64_t)status, value);
}

const struct program pipe_program = {.name = "pipe", .iterate = iterate};
