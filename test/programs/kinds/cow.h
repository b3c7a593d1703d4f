// What the programs about pages that are shared since a fork have in common: who of some processes has a page in common with
// whom, as /proc/PID/pagemap tells root.
#pragma once
#include "kind.h"
#include <sys/mman.h>

#define PAGE 4096
#define MOST_PROCESSES 8
#define MOST_PAGES 2048

// What all processes of a program see: to be made before the first fork.
struct board {
  pid_t pids[MOST_PROCESSES];
  volatile int steps;
};

static struct board *board_made(void) {
  struct board *b = mmap(0, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(b != MAP_FAILED);
  return b;
}

// Waits until so many steps have been made by all together.
static inline void await_steps(struct board *b, int steps) {
  while (__atomic_load_n(&b->steps, __ATOMIC_SEQ_CST) < steps) rest_ms(1);
}
static inline void made_step(struct board *b) { __atomic_fetch_add(&b->steps, 1, __ATOMIC_SEQ_CST); }

// The frames of pages in a process; 0: none, or not in memory.
static inline void frames(pid_t pid, const char *at, int pages, uint64_t *out) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/pagemap", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK(pread(fd, out, 8L * pages, (uintptr_t)at / PAGE * 8) == 8L * pages);
  CHECK(close(fd) == 0);
  for (int i = 0; i < pages; i++) out[i] = out[i] >> 63 ? out[i] & ((1ULL << 55) - 1) : 0;
}

// For each page of each process: the first process that has the same frame there. -1: the page is not there.
struct kin {
  int pages;
  signed char with[MOST_PROCESSES][MOST_PAGES];
};

static inline void look_for_kin(struct kin *k, const pid_t *pids, int processes, const char *at, int pages) {
  static uint64_t of[MOST_PROCESSES][MOST_PAGES];
  CHECK(processes <= MOST_PROCESSES && pages <= MOST_PAGES);
  k->pages = pages;
  for (int p = 0; p < processes; p++) frames(pids[p], at, pages, of[p]);
  for (int p = 0; p < processes; p++)
    for (int i = 0; i < pages; i++) {
      int q = 0;
      while (of[q][i] != of[p][i]) q++;
      k->with[p][i] = of[p][i] == 0 ? -1 : q;
    }
}

// Who shares what is as it was, page by page.
static inline void same_kin(const struct kin *before, const struct kin *now, int processes) {
  CHECK(before->pages == now->pages);
  for (int p = 0; p < processes; p++)
    for (int i = 0; i < now->pages; i++)
      if (before->with[p][i] != now->with[p][i]) {
        printf("broken: page %d of process %d was shared with %d, is with %d\n", i, p, before->with[p][i], now->with[p][i]);
        fflush(stdout);
        _exit(1);
      }
}

// How many pages a process has in common with an earlier one of the list.
static inline int shared_pages(const struct kin *k, int p) {
  int n = 0;
  for (int i = 0; i < k->pages; i++) n += k->with[p][i] >= 0 && k->with[p][i] != p;
  return n;
}

// A page says whose it is and which.
static inline void stamp(char *at, int page, long who) {
  long *words = (long *)(at + (long)page * PAGE);
  words[0] = page;
  words[1] = who;
  words[PAGE / 8 - 1] = ~who;
}
static inline int is_stamped(const char *at, int page, long who) {
  const long *words = (const long *)(at + (long)page * PAGE);
  return words[0] == page && words[1] == who && words[PAGE / 8 - 1] == ~who;
}
