// Files that hold a text: a program's own, and settings in /proc and /sys.
#pragma once
#include "kind.h"

static inline void put(const char *path, const char *text) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  if (fd < 0) printf("broken: %s cannot be written\n", path);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static inline void put_with_mode(const char *path, const char *text, mode_t mode) {
  put(path, text);
  CHECK(chmod(path, mode) == 0);
}

// That, and nothing else.
static inline void holds(const char *path, const char *text) {
  char got[4096];
  int fd = open(path, O_RDONLY);
  if (fd < 0) printf("broken: %s cannot be read\n", path);
  CHECK(fd >= 0);
  ssize_t n = read(fd, got, sizeof got - 1);
  CHECK(n >= 0 && close(fd) == 0);
  got[n] = 0;
  if (strcmp(got, text)) printf("broken: %s has \"%s\", not \"%s\"\n", path, got, text);
  CHECK(strcmp(got, text) == 0);
}

// A turn of a program that keeps five files, each replaced by the next but four: the one that is replaced is looked at before.
static inline void replace_in_turn(const char *folder, uint64_t turn) {
  char path[64], new[64], text[64];
  snprintf(path, sizeof path, "%s/log%d", folder, (int)(turn % 5));
  snprintf(new, sizeof new, "%s/log.new", folder);
  if (turn >= 5) {
    snprintf(text, sizeof text, "turn %lu\n", (unsigned long)turn - 5);
    holds(path, text);
  }
  snprintf(text, sizeof text, "turn %lu\n", (unsigned long)turn);
  put_with_mode(new, text, 0640);
  CHECK(rename(new, path) == 0);
}
