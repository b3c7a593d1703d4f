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
