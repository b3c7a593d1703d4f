// A connection that was closed with more written than the other side takes at once: the move waits until it has.
#include "tcp-util.h"

static unsigned char block[1 << 16], got[1 << 16];

int main(void) {
  int l = listener(4, 7151, 4), c = client(4, 7151), s = accept(l, 0, 0), done[2];
  CHECK(s >= 0 && pipe(done) == 0);
  pid_t reader = fork();
  if (reader == 0) {
    close(s);
    uint64_t have = 0;
    for (ssize_t n; (n = recv(c, got, sizeof got, 0)) != 0; have += n) {
      CHECK(n > 0);
      pattern(block, n, have);
      CHECK(memcmp(got, block, n) == 0);
      rest_ms(2);
    }
    CHECK(have == 64 * sizeof block);
    _exit(0);
  }
  close(c);
  for (int i = 0; i < 64; i++) {
    pattern(block, sizeof block, (uint64_t)i * sizeof block);
    CHECK(send(s, block, sizeof block, 0) == sizeof block);
  }
  CHECK(close(s) == 0);
  moved();
  ends_well(reader);
  right();
}
