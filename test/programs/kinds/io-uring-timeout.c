// refused: request to io_uring that is under way
// A timeout that waits.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  static struct { int64_t s, ns; } time = {1000, 0};
  struct io_uring_sqe *e = queue(&r, IORING_OP_TIMEOUT, 1);
  e->addr = (uint64_t)&time, e->len = 1;
  CHECK(enter(&r, 1, 0) == 1);
  moved();
  right();
}
