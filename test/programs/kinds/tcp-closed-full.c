// A connection that was closed with more written than the other side takes: nobody can take it out of the kernel.
// refused: closed before all has arrived
#include "tcp-util.h"

static unsigned char block[1 << 16], got[1 << 16];

int main(void) {
  int l = listener(4, 7150, 4), c = client(4, 7150), s = accept(l, 0, 0);
  CHECK(s >= 0 && fcntl(s, F_SETFL, O_NONBLOCK) == 0);
  uint64_t total = 0, have = 0;
  for (;;) {
    pattern(block, sizeof block, total);
    ssize_t n = send(s, block, sizeof block, 0);
    if (n < 0) {
      struct pollfd p = {.fd = s, .events = POLLOUT};
      if (poll(&p, 1, 300) == 0) break;
      continue;
    }
    total += n;
  }
  CHECK(close(s) == 0);
  moved();
  for (;;) {
    ssize_t n = recv(c, got, sizeof got, 0);
    CHECK(n >= 0);
    if (n == 0) break;
    pattern(block, n, have);
    CHECK(memcmp(got, block, n) == 0);
    have += n;
  }
  CHECK(have == total);
  right();
}
