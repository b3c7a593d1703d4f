// fails: finish resume
// epoll: entries of descriptors that are closed or are something else by now, one-shot entries that have fired, edges that were
// seen, sets in sets, a set watched by a child, the same description twice.
#include "kind.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
static void add(int set, int fd, uint32_t events, uint64_t data) {
  struct epoll_event e = {.events = events, .data.u64 = data};
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
}
int main(void) {
  struct epoll_event e[10];
  int set = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0);
  int closed[2], reused[2], oneshot[2], edge[2];
  CHECK(pipe(closed) == 0 && pipe(reused) == 0 && pipe(oneshot) == 0 && pipe(edge) == 0);
  int kept = dup(closed[0]), kept2 = dup(reused[0]);
  add(set, closed[0], EPOLLIN, 0x1111111122222222);
  add(set, reused[0], EPOLLIN, 2);
  CHECK(close(closed[0]) == 0);
  int ev = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
  CHECK(dup2(ev, reused[0]) == reused[0]);
  add(set, reused[0], EPOLLIN | EPOLLET, 3);
  add(set, oneshot[0], EPOLLIN | EPOLLONESHOT, 4);
  CHECK(write(oneshot[1], "x", 1) == 1 && epoll_wait(set, e, 10, 0) == 1 && e[0].data.u64 == 4);
  add(set, edge[0], EPOLLIN | EPOLLET | EPOLLRDHUP, 5);
  add(outer, set, EPOLLIN, 6);
  int twice = dup(edge[1]);
  int third = epoll_create1(0);
  add(third, edge[1], EPOLLOUT, 7);
  add(third, twice, EPOLLOUT | EPOLLEXCLUSIVE, 8);
  moved();
  CHECK(epoll_wait(set, e, 10, 0) == 0 && epoll_wait(outer, e, 10, 0) == 0);
  CHECK(epoll_wait(third, e, 10, 0) == 2 && e[0].data.u64 + e[1].data.u64 == 15);
  CHECK(write(closed[1], "x", 1) == 1 && epoll_wait(outer, e, 10, 0) == 1 && e[0].data.u64 == 6);
  CHECK(epoll_wait(set, e, 10, 0) == 1 && e[0].data.u64 == 0x1111111122222222);
  char c;
  CHECK(read(kept, &c, 1) == 1 && epoll_wait(set, e, 10, 0) == 0);
  CHECK(write(reused[1], "x", 1) == 1 && epoll_wait(set, e, 10, 0) == 1 && e[0].data.u64 == 2 && read(kept2, &c, 1) == 1);
  uint64_t n = 5;
  CHECK(write(ev, &n, 8) == 8 && epoll_wait(set, e, 10, 0) == 1 && e[0].data.u64 == 3 && epoll_wait(set, e, 10, 0) == 0);
  CHECK(read(ev, &n, 8) == 8 && n == 1);
  CHECK(write(edge[1], "x", 1) == 1 && epoll_wait(set, e, 10, 0) == 1 && e[0].data.u64 == 5 && epoll_wait(set, e, 10, 0) == 0);
  struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9};
  CHECK(epoll_ctl(set, EPOLL_CTL_MOD, oneshot[0], &again) == 0 && epoll_wait(set, e, 10, 0) == 1 && e[0].data.u64 == 9);
  signal(SIGPIPE, SIG_IGN);
  // The closed entries go with the last descriptor of what they watch.
  CHECK(close(kept) == 0 && close(kept2) == 0 && write(closed[1], "x", 1) == -1);
  right();
}
