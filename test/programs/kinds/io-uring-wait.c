// hops: 4
// fails: describe shape files flip finish resume
// Threads that wait for a completion of io_uring: by the call, by epoll; another one submits.
#include "io-uring.h"
#include <pthread.h>
#include <sys/epoll.h>

static struct ring r, s, q;
static int set;

static void *waits(void *x) {
  CHECK(enter(&r, 0, 1) == 0);
  sees(&r, 5, 0);
  CHECK(enter(&r, 0, 2) == 0);
  sees(&r, 6, 0);
  sees(&r, 7, 0);
  return 0;
}

// With more arguments: no time, and one that ends it.
static void *waits_more(void *x) {
  struct io_uring_getevents_arg arg = {0};
  int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  CHECK(syscall(SYS_io_uring_enter, q.fd, 0, 1, flags, &arg, sizeof arg) == 0);
  sees(&q, 9, 0);
  struct { int64_t s, ns; } time = {0, 1000000};
  arg.ts = (uint64_t)&time;
  CHECK(syscall(SYS_io_uring_enter, q.fd, 0, 1, flags, &arg, sizeof arg) == -1 && errno == ETIME);
  return 0;
}

static void *polls(void *x) {
  struct epoll_event e;
  CHECK(epoll_wait(set, &e, 1, -1) == 1 && e.data.u64 == 99 && (e.events & EPOLLIN));
  sees(&s, 8, 0);
  return 0;
}

int main(void) {
  pthread_t a, b, c;
  make(&q, 4, 0, 0);
  make(&r, 4, 0, 0);
  make(&s, 4, 0, 0);
  set = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 99};
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, s.fd, &e) == 0);
  CHECK(pthread_create(&a, 0, waits, 0) == 0 && pthread_create(&b, 0, polls, 0) == 0);
  CHECK(pthread_create(&c, 0, waits_more, 0) == 0);
  rest_ms(50);
  moved();
  queue(&r, IORING_OP_NOP, 5);
  CHECK(enter(&r, 1, 0) == 1);
  queue(&q, IORING_OP_NOP, 9);
  CHECK(enter(&q, 1, 0) == 1);
  queue(&s, IORING_OP_NOP, 8);
  CHECK(enter(&s, 1, 0) == 1);
  rest_ms(20);
  queue(&r, IORING_OP_NOP, 6);
  CHECK(enter(&r, 1, 0) == 1);
  rest_ms(20);
  queue(&r, IORING_OP_NOP, 7);
  CHECK(enter(&r, 1, 0) == 1);
  CHECK(pthread_join(a, 0) == 0 && pthread_join(b, 0) == 0 && pthread_join(c, 0) == 0);
  right();
}
