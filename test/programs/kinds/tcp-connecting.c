// Threads that make connections all the time, to one who takes them and to one who is not there, one of them with a limit of time:
// each call of connect(2) answers as if nobody had stopped it.
// hops: 4
// fails: shape finish resume
#include "tcp-util.h"
#include <pthread.h>

static addr_t there, nobody;
static volatile int enough;

static void hard_end(int fd) {
  struct linger hard = {1, 0};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0 && close(fd) == 0);
}

static void *dials(void *limit) {
  while (!enough) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    if (limit) {
      struct timeval t = {60, 0};
      CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0);
    }
    CHECK(connect(fd, (void *)&there.a, there.n) == 0);
    hard_end(fd);
  }
  return 0;
}

static void *dials_nobody(void *_) {
  while (!enough) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    for (int i = 0; i < 3; i++) CHECK(connect(fd, (void *)&nobody.a, nobody.n) == -1 && errno == ECONNREFUSED);
    CHECK(close(fd) == 0);
  }
  return 0;
}

static void *takes(void *listener) {
  while (!enough) {
    struct pollfd p = {.fd = *(int *)listener, .events = POLLIN};
    if (poll(&p, 1, 100) != 1) continue;
    int fd = accept(p.fd, 0, 0);
    char c;
    // Not before the other side does: it could be reset while it still waits in connect(2).
    if (fd >= 0) CHECK(recv(fd, &c, 1, 0) <= 0 && close(fd) == 0);
  }
  return 0;
}

int main(void) {
  int l = listener(4, 7150, 100);
  CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
  there = loopback(4, 7150), nobody = loopback(4, 7151);
  pthread_t threads[6];
  for (int i = 0; i < 6; i++)
    CHECK(pthread_create(&threads[i], 0, i < 3 ? dials : i < 5 ? dials_nobody : takes, i == 5 ? (void *)&l : i == 2 ? &l : 0) == 0);
  moved();
  rest_ms(200);
  enough = 1;
  for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], 0) == 0);
  right();
}
