// epoll: one-shot entries that have fired stay silent, whatever is ready, hung up or in error, until they are armed again.
#include "kind.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
static int set_of(int fd, uint32_t events) {
  int set = epoll_create1(0);
  struct epoll_event e = {.events = events, .data.u64 = 7};
  CHECK(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
  return set;
}
static int told_by(int set) {
  struct epoll_event e[4];
  return epoll_wait(set, e, 4, 0);
}
int main(void) {
  enum { N = 5 };
  static const char *names[N] = {"eventfd", "socket", "socket hung up", "pipe hung up", "set"};
  int fds[N], sets[N], pair[2], over[2], pipes[2];
  CHECK((fds[0] = eventfd(1, 0)) >= 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[1], "x", 1) == 1);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, over) == 0 && close(over[1]) == 0);
  CHECK(pipe(pipes) == 0 && close(pipes[1]) == 0);
  fds[1] = pair[0], fds[2] = over[0], fds[3] = pipes[0];
  fds[4] = set_of(fds[0], EPOLLIN);
  for (int i = 0; i < N; i++) {
    sets[i] = set_of(fds[i], EPOLLIN | EPOLLONESHOT | (i == 1 ? EPOLLET : 0));
    CHECK(told_by(sets[i]) == 1 && told_by(sets[i]) == 0);
  }
  moved();
  for (int i = 0; i < N; i++)
    if (told_by(sets[i]) != 0) {
      printf("broken: %s\n", names[i]);
      return 1;
    }
  // What comes later is not told either.
  CHECK(close(pair[1]) == 0 && told_by(sets[1]) == 0);
  for (int i = 0; i < N; i++) {
    struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9};
    CHECK(epoll_ctl(sets[i], EPOLL_CTL_MOD, fds[i], &again) == 0 && told_by(sets[i]) == 1 && told_by(sets[i]) == 0);
  }
  right();
}
