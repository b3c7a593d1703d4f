// Has as many of one thing as its second argument says, and goes on using them: `many eventfds 1000`. Things: eventfds,
// watched (eventfds in one epoll set), threads, processes, executable (mappings without a file).
#include "domain.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static volatile uint64_t *counted;

static void *count(void *which) {
  for (uint64_t turn = 1;; turn++) {
    counted[(uintptr_t)which] = turn;
    rest_ms(500);
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "eventfds";
  size_t n = argc > 2 ? strtoul(argv[2], 0, 10) : 100;
  struct rlimit files = {n + 64, n + 64};
  CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
  int watched = !strcmp(what, "watched"), eventfds = watched || !strcmp(what, "eventfds");
  int running = !strcmp(what, "threads") || !strcmp(what, "processes");
  int *fds = calloc(n, sizeof *fds), set = epoll_create1(0);
  char **code = calloc(n, sizeof *code);
  counted = mmap(0, (n * sizeof *counted + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(fds && code && set >= 0 && counted != MAP_FAILED);
  for (size_t i = 0; i < n; i++) {
    if (eventfds) CHECK((fds[i] = eventfd(i, EFD_NONBLOCK)) >= 0);
    struct epoll_event e = {.events = EPOLLOUT, .data.u64 = i};
    if (watched) CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &e) == 0);
    if (!strcmp(what, "threads")) {
      pthread_t t;
      pthread_attr_t small;
      CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 65536) == 0);
      CHECK(pthread_create(&t, &small, count, (void *)i) == 0);
    }
    if (!strcmp(what, "processes")) { pid_t c = fork(); CHECK(c >= 0); if (c == 0) count((void *)i); }
    if (!strcmp(what, "executable")) {
      // Two that lie side by side would be one.
      CHECK((code[i] = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
      *(uint64_t *)code[i] = i;
      CHECK(mprotect(code[i], 4096, PROT_READ | PROT_EXEC) == 0);
    }
  }
  uint64_t *before = calloc(n, sizeof *before);
  for (uint64_t turn = 0;; turn++) {
    for (size_t i = 0; i < n; i++) {
      uint64_t value, one = 1;
      if (eventfds) {
        CHECK(write(fds[i], &one, 8) == 8 && read(fds[i], &value, 8) == 8 && value == i + 1);
        CHECK(i == 0 || write(fds[i], &i, 8) == 8);
      }
      if (code[i]) CHECK(*(uint64_t *)code[i] == i);
    }
    struct epoll_event *ready = calloc(n, sizeof *ready);
    if (watched) CHECK(epoll_wait(set, ready, n, 0) == (int)n);
    free(ready);
    turn_done(turn);
    rest_ms(running ? 1500 : 100);
    for (size_t i = 0; running && i < n; i++) {
      // A busy computer may not come to each of so many in every turn.
      if (turn % 8 == 0) { CHECK(turn == 0 || counted[i] > before[i]); before[i] = counted[i]; }
    }
  }
}
