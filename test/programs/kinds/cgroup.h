// What programs with cgroups of their own have in common.
#pragma once
#include "text.h"

#define TOP "/sys/fs/cgroup"

static inline void put_id(const char *path, pid_t id) {
  char text[32];
  snprintf(text, sizeof text, "%d", id);
  put(path, text);
}

// The process or thread is in this cgroup of the domain.
static inline void in(pid_t id, const char *path) {
  char file[64], want[128];
  snprintf(file, sizeof file, "/proc/%d/cgroup", id);
  snprintf(want, sizeof want, "0::%s\n", path);
  holds(file, want);
}
