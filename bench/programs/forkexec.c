/* Ten processes, one after the other, each of which executes a program that returns at once. */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/wait.h>
#include <unistd.h>

static uint64_t iterate(void) {
  uint64_t sum = 0;
  for (int i = 0; i < 10; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
      execl(own_path, own_path, "nothing", (char *)NULL);
      _exit(127);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid) die("waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) die(own_path);
    sum = sum * 256 + (uint64_t)(WIFEXITED(status) ? WEXITSTATUS(status) + 1 : 200);
  }
  return sum;
}

const struct program forkexec_program = {.name = "forkexec", .iterate = iterate};
