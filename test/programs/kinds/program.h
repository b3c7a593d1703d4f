// What programs have in common that execute copies of themselves.
#pragma once
#include "file.h"

// Copies the program that runs into an open file.
static inline void copy_program(int to) {
  static char buf[1 << 16];
  int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  CHECK(from >= 0);
  for (ssize_t n; (n = read(from, buf, sizeof buf)) > 0;) CHECK(write(to, buf, n) == n);
  CHECK(close(from) == 0);
}

// The program that runs has no name any more, and its mode: nobody may write it, but it can still be executed, to end at once
// for two arguments.
static inline void runs_without_name(void) {
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  CHECK(self >= 0 && stat_of(self).st_nlink == 0 && (stat_of(self).st_mode & 0777) == 0755);
  CHECK(open("/proc/self/exe", O_RDWR) == -1 && errno == ETXTBSY);
  pid_t pid = fork();
  if (pid == 0) {
    execl("/proc/self/exe", "x", "y", "z", (char *)0);
    _exit(7);
  }
  ends_well(pid);
}
