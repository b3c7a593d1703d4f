// refused: several completions
// A timeout that comes again and again: its first completion makes the counts even.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  static struct { int64_t s, ns; } time = {2, 0};
  struct io_uring_sqe *e = queue(&r, IORING_OP_TIMEOUT, 1);
  e->addr = (uint64_t)&time, e->len = 1, e->timeout_flags = 1 << 6, e->off = 1000;
  CHECK(enter(&r, 1, 1) == 1);
  moved();
  right();
}
