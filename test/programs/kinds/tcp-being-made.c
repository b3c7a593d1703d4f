// Connections that are being made, to those who have no room for them yet: they are made when there is.
// fails: shape finish resume
#include "tcp-util.h"

static addr_t x;

// Waits in connect(2).
static void wait_for_it(void) {
  int d = client(4, 7141);
  reads(d, "welcome", 7);
}

static int take(int l) {
  struct pollfd p = {.fd = l, .events = POLLIN};
  CHECK(poll(&p, 1, 15000) == 1);
  int s = accept(l, 0, 0);
  CHECK(s >= 0);
  return s;
}

int main(void) {
  int l = listener(4, 7140, 0), m = listener(4, 7141, 0);
  int first = client(4, 7140), second = client(4, 7141);
  x = loopback(4, 7140);
  int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(connect(c, (void *)&x.a, x.n) == -1 && errno == EINPROGRESS);
  CHECK(tcp_state(c) == TCP_SYN_SENT);
  struct sockaddr_in a, b;
  socklen_t n = sizeof a;
  CHECK(getsockname(c, (void *)&a, &n) == 0);
  pid_t waits = child(wait_for_it);
  rest_ms(50);
  moved();
  CHECK(tcp_state(c) == TCP_SYN_SENT);
  CHECK(connect(c, (void *)&x.a, x.n) == -1 && errno == EALREADY);
  CHECK(getsockname(c, (void *)&b, &n) == 0 && a.sin_port == b.sin_port);
  talks(first, take(l));
  talks(second, take(m));
  int s = take(l);
  struct pollfd q = {.fd = c, .events = POLLOUT};
  CHECK(poll(&q, 1, 5000) == 1 && getopt_int(c, SOL_SOCKET, SO_ERROR) == 0);
  CHECK(fcntl(c, F_SETFL, 0) == 0);
  talks(s, c);
  CHECK(send(take(m), "welcome", 7, 0) == 7);
  ends_well(waits);
  right();
}
