// What programs have in common that never rest: workers that do something over and over, and verify it, while they are moved.
#pragma once
#include "kind.h"
#include <sys/mman.h>

#define MOST_WORKERS 12

static struct { volatile int enough, over; volatile uint64_t turns[MOST_WORKERS]; } *busy;

// Runs each of the workers as a process of its own: they are moved while they work, go on for a moment, and end well. The
// `lasting` ones, who come last, go on until the others have ended: somebody may wait for them.
static void all_busy(void (*const *workers)(volatile uint64_t *turns), int count, int lasting) {
  pid_t pids[MOST_WORKERS];
  CHECK(count <= MOST_WORKERS);
  busy = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(busy != MAP_FAILED);
  for (int i = 0; i < count; i++) {
    CHECK((pids[i] = fork()) >= 0);
    if (pids[i] == 0) {
      while (!(i < count - lasting ? busy->enough : busy->over)) workers[i](&busy->turns[i]);
      _exit(0);
    }
  }
  moved();
  uint64_t before[MOST_WORKERS];
  for (int i = 0; i < count; i++) before[i] = busy->turns[i];
  for (int i = 0; i < count; i++)
    for (int k = 0; busy->turns[i] == before[i]; k++) {
      if (k == 2000) printf("worker %d stands still\n", i);
      CHECK(k < 2000);
      rest_ms(5);
    }
  busy->enough = 1;
  for (int i = 0; i < count - lasting; i++) ends_well(pids[i]);
  busy->over = 1;
  for (int i = count - lasting; i < count; i++) ends_well(pids[i]);
}

// A worker: a child that is stopped, goes on and is ended, and tells each.
static inline void stops(volatile uint64_t *turns) {
  int status;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) for (;;) pause();
  CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
  CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  ++*turns;
}
