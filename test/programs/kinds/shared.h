// What programs have in common whose processes share something: one of them does what it is told to, the other looks what came of it.
#pragma once
#include "kind.h"
#include <sched.h>
#include <sys/syscall.h>

// Runs `work` in a child that shares what `flags` say.
static inline pid_t with(unsigned long flags, void (*work)(void)) {
  pid_t pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  CHECK(pid >= 0);
  if (pid == 0) {
    work();
    _exit(0);
  }
  return pid;
}

static int ask[2], answer[2];

// Told by a byte what to do: to open descriptor 77, to change the working directory to /tmp, to set a umask, to end.
static inline void obey(void) {
  char what;
  while (read(ask[0], &what, 1) == 1) {
    char said = 'y';
    if (what == 'o') CHECK(dup2(ask[0], 77) == 77);
    if (what == 'd') CHECK(chdir("/tmp") == 0);
    if (what == 'u') umask(0123);
    if (what == 'e') _exit(0);
    CHECK(write(answer[1], &said, 1) == 1);
  }
}

static inline void order(char what) {
  char said;
  CHECK(write(ask[1], &what, 1) == 1 && read(answer[0], &said, 1) == 1);
}

// Where all begin.
static inline void begin(void) {
  CHECK(pipe(ask) == 0 && pipe(answer) == 0 && chdir("/") == 0);
  umask(022);
}
