// What programs about files have in common.
#pragma once
#include "kind.h"
#include <dirent.h>
#include <sys/statfs.h>

// Where /proc says that a descriptor leads.
static inline const char *link_of(int fd) {
  static char link[4][512];
  static int turn;
  char path[64];
  char *to = link[turn++ % 4];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(path, to, 511);
  CHECK(n >= 0);
  to[n] = 0;
  return to;
}

static inline struct stat stat_of(int fd) {
  struct stat s;
  CHECK(fstat(fd, &s) == 0);
  return s;
}

// All that stat tells but the numbers of the device and the inode, the time of the last change, and the device's idea of a block.
static inline void same_stat(struct stat a, struct stat b) {
  CHECK(a.st_mode == b.st_mode);
  CHECK(a.st_nlink == b.st_nlink);
  CHECK(a.st_uid == b.st_uid && a.st_gid == b.st_gid);
  CHECK(a.st_rdev == b.st_rdev);
  CHECK(a.st_size == b.st_size || S_ISDIR(a.st_mode));
  CHECK(a.st_blocks == b.st_blocks || S_ISDIR(a.st_mode));
  CHECK(a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
  CHECK(a.st_atim.tv_sec == b.st_atim.tv_sec && a.st_atim.tv_nsec == b.st_atim.tv_nsec);
}

static inline int same_file(struct stat a, struct stat b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Bytes that differ from page to page, and from seed to seed.
static inline void fill(unsigned char *p, size_t n, unsigned seed) {
  for (size_t i = 0; i < n; i++) p[i] = (seed += 0x9e3779b9u + i) >> 24;
}

// A folder of the program's own, empty.
static inline void own_folder(const char *path) {
  char command[256];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  CHECK(system(command) == 0);
  CHECK(mkdir(path, 0755) == 0);
}
