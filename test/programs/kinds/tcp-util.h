// What programs with connections have in common: ends of a connection across the loopback interface.
#pragma once
#include "kind.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

typedef struct { struct sockaddr_storage a; socklen_t n; } addr_t;

// family 6: ::1, 4: 127.0.0.1, 46: 127.0.0.1 as an IPv6 socket names it
static addr_t loopback(int family, int port) {
  addr_t x = {0};
  if (family == 4) {
    struct sockaddr_in *in = (void *)&x.a;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    x.n = sizeof *in;
  } else {
    struct sockaddr_in6 *in = (void *)&x.a;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    CHECK(inet_pton(AF_INET6, family == 46 ? "::ffff:127.0.0.1" : "::1", &in->sin6_addr) == 1);
    x.n = sizeof *in;
  }
  return x;
}

static int listener(int family, int port, int backlog) {
  addr_t x = loopback(family, port);
  int one = 1, fd = socket(x.a.ss_family, SOCK_STREAM, 0);
  CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  CHECK(bind(fd, (void *)&x.a, x.n) == 0 && listen(fd, backlog) == 0);
  return fd;
}

static int client(int family, int port) {
  addr_t x = loopback(family, port);
  int fd = socket(x.a.ss_family, SOCK_STREAM, 0);
  CHECK(fd >= 0 && connect(fd, (void *)&x.a, x.n) == 0);
  return fd;
}

static int tcp_state(int fd) {
  struct tcp_info info;
  socklen_t n = sizeof info;
  CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0);
  return info.tcpi_state;
}

static void becomes(int fd, int state) {
  for (int i = 0; tcp_state(fd) != state; i++) {
    if (i == 1000) printf("state %d, not %d\n", tcp_state(fd), state);
    CHECK(i < 1000);
    rest_ms(5);
  }
}

static int getopt_int(int fd, int level, int name) {
  int v = -1;
  socklen_t n = sizeof v;
  CHECK(getsockopt(fd, level, name, &v, &n) == 0);
  return v;
}

static void set(int fd, int level, int name, int value) { CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0); }

// Reads exactly that, within some seconds.
static void reads(int fd, const void *what, size_t n) {
  char got[65536];
  CHECK(n <= sizeof got);
  size_t have = 0;
  while (have < n) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK(poll(&p, 1, 10000) == 1);
    ssize_t k = recv(fd, got + have, n - have, 0);
    if (k <= 0) printf("%zd bytes after %zu\n", k, have);
    CHECK(k > 0);
    have += k;
  }
  CHECK(memcmp(got, what, n) == 0);
}

static void ends(int fd) {
  char c;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  CHECK(poll(&p, 1, 10000) == 1);
  CHECK(recv(fd, &c, 1, 0) == 0);
}

// Both talk and hear.
static void talks(int a, int b) {
  CHECK(send(a, "ping", 4, MSG_NOSIGNAL) == 4);
  reads(b, "ping", 4);
  CHECK(send(b, "pong!", 5, MSG_NOSIGNAL) == 5);
  reads(a, "pong!", 5);
}

// Bytes that tell where they stand.
static void pattern(unsigned char *at, size_t n, uint64_t from) {
  for (size_t i = 0; i < n; i++) at[i] = (from + i) * 2654435761u >> 13;
}
