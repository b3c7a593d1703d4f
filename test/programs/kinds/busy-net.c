// Datagrams and connections across the loopback interface, made, used, half closed and ended all the time.
#include "busy.h"
#include "tcp-util.h"
#include <sys/un.h>

static int l, six, names;

static uint64_t byte_at(uint64_t n) { return n * 2654435761u >> 11; }

// Answers what comes until its end, in threads' stead one after the other.
static void serves(volatile uint64_t *turns) {
  struct pollfd p[2] = {{.fd = l, .events = POLLIN}, {.fd = six, .events = POLLIN}};
  if (poll(p, 2, 50) == 0) return;
  for (int i = 0; i < 2; i++) {
    if (!(p[i].revents & POLLIN)) continue;
    int fd = accept(p[i].fd, 0, 0);
    // Whoever has asked may have gone.
    if (fd < 0) continue;
    char got[9000];
    for (ssize_t n; (n = recv(fd, got, sizeof got, 0)) != 0;) {
      CHECK(n > 0);
      for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(fd, got + at, n - at, MSG_NOSIGNAL);
        CHECK(sent > 0);
        at += sent;
      }
    }
    CHECK(close(fd) == 0);
    ++*turns;
  }
}

static void asks(volatile uint64_t *turns, int family, int port) {
  addr_t x = loopback(family, port);
  int fd = socket(x.a.ss_family, SOCK_STREAM, 0);
  CHECK(fd >= 0 && connect(fd, (void *)&x.a, x.n) == 0);
  enum { N = 30000 };
  unsigned char all[N], got[N];
  for (int i = 0; i < N; i++) all[i] = byte_at(*turns + i);
  size_t sent = 0, have = 0;
  while (have < N) {
    struct pollfd p = {.fd = fd, .events = POLLIN | (sent < N ? POLLOUT : 0)};
    CHECK(poll(&p, 1, -1) == 1);
    if ((p.revents & POLLOUT) && sent < N) {
      ssize_t n = send(fd, all + sent, N - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      CHECK(n > 0 || errno == EAGAIN);
      if (n > 0 && (sent += n) == N) CHECK(shutdown(fd, SHUT_WR) == 0);
    }
    if (p.revents & POLLIN) {
      ssize_t n = recv(fd, got + have, N - have, MSG_DONTWAIT);
      CHECK(n > 0 || (n < 0 && errno == EAGAIN));
      if (n > 0) have += n;
    }
  }
  char more;
  CHECK(recv(fd, &more, 1, 0) == 0);
  CHECK(memcmp(all, got, N) == 0 && close(fd) == 0);
  ++*turns;
}
static void asks4(volatile uint64_t *turns) { asks(turns, 4, 7160); }
static void asks6(volatile uint64_t *turns) { asks(turns, 6, 7161); }

// Both ends in one process: what is sent waits until it is taken.
static void datagrams(volatile uint64_t *turns) {
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
  addr_t x = loopback(4, 0);
  CHECK(bind(a, (void *)&x.a, x.n) == 0 && getsockname(a, (void *)&x.a, &x.n) == 0);
  CHECK(connect(b, (void *)&x.a, x.n) == 0);
  uint64_t n[2];
  for (int i = 0; i < 8; i++) {
    n[0] = *turns, n[1] = i;
    CHECK(send(b, n, 8 + i, 0) == 8 + i);
  }
  for (int i = 0; i < 8; i++) CHECK(recv(a, n, sizeof n, 0) == 8 + i && n[0] == *turns);
  CHECK(close(a) == 0 && close(b) == 0);
  ++*turns;
}

static void unix_names(volatile uint64_t *turns) {
  struct sockaddr_un u = {AF_UNIX, "/tmp/busy-net.sock"};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(fd >= 0 && connect(fd, (void *)&u, sizeof u) == 0);
  int s = accept(names, 0, 0);
  CHECK(s >= 0 && send(fd, "hello", 5, 0) == 5 && close(fd) == 0);
  char got[8];
  CHECK(recv(s, got, 8, MSG_WAITALL) == 5 && memcmp(got, "hello", 5) == 0 && close(s) == 0);
  ++*turns;
}

int main(void) {
  struct sockaddr_un u = {AF_UNIX, "/tmp/busy-net.sock"};
  l = listener(4, 7160, 20), six = listener(6, 7161, 20);
  CHECK((names = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && bind(names, (void *)&u, sizeof u) == 0 && listen(names, 5) == 0);
  void (*workers[])(volatile uint64_t *) = {asks4, asks6, datagrams, unix_names, serves, serves};
  all_busy(workers, 6, 2);
  CHECK(unlink(u.sun_path) == 0);
  right();
}
