// Epoll sets with edge-triggered, one-shot and nested entries, entries of duplicated descriptors; eventfds, also as
// semaphores and blocking; timerfds: periodic with unread expirations, one-shot, absolute.
#include "domain.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static void watch(int set, int fd, uint32_t events, uint64_t data) {
  struct epoll_event e = {.events = events, .data.u64 = data};
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
}

int main(void) {
  int semaphore = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK), ready = eventfd(1, EFD_NONBLOCK), huge = eventfd(0, 0);
  uint64_t v = 0xfffffffffffffff0;
  CHECK(write(huge, &v, 8) == 8);
  int periodic = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), once = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
  int unread = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), absolute = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec every = {{0, 20000000}, {0, 20000000}};
  timerfd_settime(periodic, 0, &every, 0);
  timerfd_settime(unread, 0, &every, 0);
  int inner = epoll_create1(0), outer = epoll_create1(EPOLL_CLOEXEC);
  int copy = dup(ready);
  CHECK(dup2(ready, 77) == 77);
  watch(inner, ready, EPOLLIN, 0x1111222233334444);
  watch(inner, 77, EPOLLIN | EPOLLONESHOT, 77);
  watch(outer, inner, EPOLLIN, 5);
  watch(outer, periodic, EPOLLIN | EPOLLET, 6);
  CHECK(fcntl(outer, F_GETFD) == FD_CLOEXEC);
  int64_t start = now_ms();
  uint64_t count = 0;
  for (uint64_t turn = 0;; turn++) {
    v = 3;
    CHECK(write(semaphore, &v, 8) == 8);
    struct itimerspec soon = {{0, 0}, {0, 120000000}};
    int64_t armed = now_ms();
    CHECK(timerfd_settime(once, 0, &soon, 0) == 0);
    struct itimerspec then = {{0, 0}, {(armed + 60) / 1000, (armed + 60) % 1000 * 1000000}};
    CHECK(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &then, 0) == 0);
    rest_ms(30);
    for (int i = 0; i < 3; i++) CHECK(read(semaphore, &v, 8) == 8 && v == 1);
    CHECK(read(semaphore, &v, 8) < 0 && errno == EAGAIN);
    CHECK(read(absolute, &v, 8) == 8 && v == 1 && now_ms() >= armed + 59);
    while (read(once, &v, 8) < 0) { CHECK(errno == EAGAIN && now_ms() < armed + 20000); rest_ms(5); }
    CHECK(v == 1 && now_ms() >= armed + 118);
    struct epoll_event e[4];
    int n = epoll_wait(inner, e, 4, 0);
    // The one-shot entry speaks once, also if it spoke before a move.
    CHECK(n == (turn == 0 ? 2 : 1));
    for (int i = 0; i < n; i++) CHECK(e[i].data.u64 == 77 || e[i].data.u64 == 0x1111222233334444);
    n = epoll_wait(outer, e, 4, 0);
    CHECK(n >= 1);
    int nested = 0;
    for (int i = 0; i < n; i++) nested += e[i].data.u64 == 5;
    CHECK(nested == 1);
    if (read(periodic, &v, 8) == 8) count += v;
    // One that is read rarely has counted all the while.
    if (turn % 5 == 4) {
      CHECK(read(unread, &v, 8) == 8);
      int64_t passed = now_ms() - start;
      CHECK((int64_t)v >= passed / 20 - 60 && (int64_t)v <= passed / 20 + 1);
      start = now_ms();
    }
    CHECK(read(copy, &v, 8) == 8 && v == 1);
    CHECK(write(77, &v, 8) == 8);
    turn_done(turn);
  }
}
