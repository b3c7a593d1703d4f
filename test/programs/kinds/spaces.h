// What the programs have in common that have namespaces of their own.
#pragma once
#include "kind.h"
#include <sched.h>

static inline int open_space(const char *name, pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  return fd;
}

static inline int is_space(int fd, const char *name, pid_t pid) {
  struct stat a, b;
  int other = open_space(name, pid);
  CHECK(fstat(fd, &a) == 0 && fstat(other, &b) == 0 && close(other) == 0);
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static inline int same_space(const char *name, pid_t one, pid_t other) {
  int fd = open_space(name, one), same = is_space(fd, name, other);
  close(fd);
  return same;
}

// A child says that it has done something, and its parent waits for that.
static int step[2];
static inline void done(void) { CHECK(write(step[1], "x", 1) == 1); }
static inline void wait_done(void) {
  char c;
  CHECK(read(step[0], &c, 1) == 1);
}

// A namespace that a process which went to new ones, as `flags` say, has left behind at its end.
static inline int left_space(const char *name, int flags) {
  CHECK(pipe(step) == 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(unshare(flags) == 0);
    done();
    for (;;) pause();
  }
  wait_done();
  int fd = open_space(name, pid);
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, 0, 0) == pid);
  return fd;
}
