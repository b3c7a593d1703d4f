// TCP sockets that are not connected, and options of these, of listening and of connected ones.
#include "tcp-util.h"

int main(void) {
  int never = socket(AF_INET6, SOCK_STREAM, 0), bound = socket(AF_INET, SOCK_STREAM, 0);
  addr_t x = loopback(4, 7160);
  set(never, IPPROTO_TCP, TCP_MAXSEG, 1000);
  set(never, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  CHECK(bind(bound, (void *)&x.a, x.n) == 0);
  int l = listener(4, 7161, 3);
  set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
  set(l, IPPROTO_TCP, TCP_FASTOPEN, 4);
  int deferred = getopt_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT);
  int m = listener(6, 7162, 3), c = client(6, 7162), s = accept(m, 0, 0);
  set(c, IPPROTO_TCP, TCP_NODELAY, 1);
  set(c, IPPROTO_TCP, TCP_KEEPIDLE, 33);
  set(c, IPPROTO_TCP, TCP_USER_TIMEOUT, 44000);
  set(c, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(c, SOL_SOCKET, SO_MARK, 9);
  set(c, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
  set(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 12);
  CHECK(setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
  set(s, IPPROTO_TCP, TCP_CORK, 1);
  CHECK(send(s, "corked", 6, 0) == 6);
  moved();
  CHECK(getopt_int(never, IPPROTO_TCP, TCP_MAXSEG) == 1000 && getopt_int(never, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
  CHECK(getopt_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT) == deferred && getopt_int(l, IPPROTO_TCP, TCP_FASTOPEN) == 4);
  CHECK(getopt_int(c, IPPROTO_TCP, TCP_NODELAY) == 1 && getopt_int(c, IPPROTO_TCP, TCP_KEEPIDLE) == 33);
  CHECK(getopt_int(c, IPPROTO_TCP, TCP_USER_TIMEOUT) == 44000 && getopt_int(c, SOL_SOCKET, SO_MARK) == 9);
  CHECK(getopt_int(c, SOL_SOCKET, SO_KEEPALIVE) == 1 && getopt_int(c, IPPROTO_IPV6, IPV6_TCLASS) == 0x20);
  CHECK(getopt_int(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS) == 12);
  char name[16] = "";
  socklen_t n = sizeof name;
  CHECK(getsockopt(c, IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0 && strcmp(name, "reno") == 0);
  CHECK(getopt_int(s, IPPROTO_TCP, TCP_CORK) == 1);
  set(s, IPPROTO_TCP, TCP_CORK, 0);
  reads(c, "corked", 6);
  talks(c, s);
  int other = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(other, (void *)&x.a, x.n) == -1 && errno == EADDRINUSE);
  CHECK(listen(bound, 2) == 0);
  int d = client(4, 7160), e = accept(bound, 0, 0);
  CHECK(e >= 0);
  talks(d, e);
  right();
}
