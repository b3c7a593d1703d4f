// A writer that has ended its half while the window is closed: all that it wrote arrives, and then its end.
// fails: shape finish resume
#include "tcp-util.h"

static unsigned char block[1 << 16], got[1 << 16];

int main(void) {
  int families[2] = {4, 6}, c[2], s[2];
  uint64_t total[2] = {0, 0};
  for (int f = 0; f < 2; f++) {
    int l = listener(families[f], 7130 + f, 4);
    c[f] = client(families[f], 7130 + f);
    s[f] = accept(l, 0, 0);
    CHECK(s[f] >= 0 && fcntl(c[f], F_SETFL, O_NONBLOCK) == 0);
    for (;;) {
      pattern(block, sizeof block, total[f]);
      ssize_t n = send(c[f], block, sizeof block, 0);
      if (n < 0) {
        CHECK(errno == EAGAIN);
        struct pollfd p = {.fd = c[f], .events = POLLOUT};
        if (poll(&p, 1, 300) == 0) break;
        continue;
      }
      total[f] += n;
    }
    CHECK(shutdown(c[f], SHUT_WR) == 0);
    CHECK(tcp_state(c[f]) == TCP_FIN_WAIT1 && tcp_state(s[f]) == TCP_ESTABLISHED);
  }
  moved();
  for (int f = 0; f < 2; f++) {
    CHECK(tcp_state(c[f]) == TCP_FIN_WAIT1);
    uint64_t have = 0;
    for (;;) {
      ssize_t n = recv(s[f], got, sizeof got, 0);
      CHECK(n >= 0);
      if (n == 0) break;
      pattern(block, n, have);
      CHECK(memcmp(got, block, n) == 0);
      have += n;
    }
    CHECK(have == total[f]);
    becomes(c[f], TCP_FIN_WAIT2);
    CHECK(send(s[f], "answer", 6, 0) == 6);
    reads(c[f], "answer", 6);
    close(s[f]);
    ends(c[f]);
  }
  right();
}
