// UDP over IPv4, IPv6 and IPv4 in IPv6: unbound, bound, connected, shut sockets; what waits in them, with its senders.
// fails: shape finish resume
#include "tcp-util.h"

static char big[60000];

int main(void) {
  int families[3] = {4, 6, 46}, a[3], b[3], c[3], shut[3];
  int unbound = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  CHECK(unbound >= 0);
  memset(big, 'x', sizeof big);
  struct sockaddr_storage from[3];
  socklen_t n;
  for (int f = 0; f < 3; f++) {
    addr_t x = loopback(families[f], 7200 + f);
    a[f] = socket(x.a.ss_family, SOCK_DGRAM, 0);
    b[f] = socket(x.a.ss_family, SOCK_DGRAM, 0);
    c[f] = socket(x.a.ss_family, SOCK_DGRAM, 0);
    shut[f] = socket(x.a.ss_family, SOCK_DGRAM, 0);
    int wide = 300000, tos = 0x20;
    CHECK(setsockopt(a[f], SOL_SOCKET, SO_RCVBUF, &wide, sizeof wide) == 0);
    CHECK(bind(a[f], (void *)&x.a, x.n) == 0);
    CHECK(connect(b[f], (void *)&x.a, x.n) == 0);
    CHECK(connect(shut[f], (void *)&x.a, x.n) == 0 && shutdown(shut[f], SHUT_WR) == 0);
    if (families[f] == 4) CHECK(setsockopt(b[f], IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
    CHECK(send(b[f], "first", 5, 0) == 5);
    CHECK(send(b[f], "", 0, 0) == 0);
    CHECK(send(b[f], big, sizeof big, 0) == sizeof big);
    CHECK(sendto(c[f], "other", 5, 0, (void *)&x.a, x.n) == 5);
    // The connected one hears its peer only.
    n = sizeof from[f];
    CHECK(getsockname(b[f], (void *)&from[f], &n) == 0);
    CHECK(sendto(a[f], "back", 4, 0, (void *)&from[f], n) == 4);
  }
  // Of two that wait the one that was sent to all of the network is left out.
  addr_t any = loopback(4, 7210), all = any;
  int hears = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), shouts = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
  ((struct sockaddr_in *)&any.a)->sin_addr.s_addr = htonl(INADDR_ANY);
  ((struct sockaddr_in *)&all.a)->sin_addr.s_addr = htonl(0x7fffffff);
  CHECK(bind(hears, (void *)&any.a, any.n) == 0 && setsockopt(shouts, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) == 0);
  CHECK(sendto(shouts, "all", 3, 0, (void *)&all.a, all.n) == 3);
  all = loopback(4, 7210);
  CHECK(sendto(shouts, "one", 3, 0, (void *)&all.a, all.n) == 3);
  CHECK(recv(hears, big, 3, MSG_PEEK) == 3 && memcmp(big, "all", 3) == 0);
  moved();
  CHECK(recv(hears, big, 3, 0) == 3 && memcmp(big, "one", 3) == 0 && recv(hears, big, 3, 0) == -1 && errno == EAGAIN);
  memset(big, 'x', sizeof big);
  CHECK(send(unbound, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
  for (int f = 0; f < 3; f++) {
    char got[65536];
    struct sockaddr_storage s, own;
    socklen_t m = sizeof s, k = sizeof own;
    CHECK(recvfrom(a[f], got, sizeof got, 0, (void *)&s, &m) == 5 && memcmp(got, "first", 5) == 0);
    CHECK(m == loopback(families[f], 0).n);
    CHECK(((struct sockaddr_in *)&s)->sin_port == ((struct sockaddr_in *)&from[f])->sin_port);
    if (families[f] != 4) CHECK(memcmp(&s, &from[f], m) == 0);
    CHECK(recv(a[f], got, sizeof got, 0) == 0);
    CHECK(recv(a[f], got, sizeof got, 0) == sizeof big && memcmp(got, big, sizeof big) == 0);
    CHECK(recvfrom(a[f], got, sizeof got, 0, (void *)&s, &m) == 5 && memcmp(got, "other", 5) == 0);
    CHECK(getsockname(c[f], (void *)&own, &k) == 0);
    CHECK(((struct sockaddr_in *)&s)->sin_port == ((struct sockaddr_in *)&own)->sin_port);
    CHECK(recv(a[f], got, sizeof got, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    reads(b[f], "back", 4);
    CHECK(sendto(a[f], "reply", 5, 0, (void *)&s, m) == 5);
    reads(c[f], "reply", 5);
    CHECK(send(b[f], "again", 5, 0) == 5);
    reads(a[f], "again", 5);
    CHECK(send(shut[f], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(getpeername(c[f], (void *)&own, &k) == -1 && errno == ENOTCONN);
    addr_t x = loopback(families[f], 7200 + f);
    int d = socket(x.a.ss_family, SOCK_DGRAM, 0);
    CHECK(bind(d, (void *)&x.a, x.n) == -1 && errno == EADDRINUSE);
  }
  CHECK(getopt_int(b[0], IPPROTO_IP, IP_TOS) == 0x20);
  right();
}
