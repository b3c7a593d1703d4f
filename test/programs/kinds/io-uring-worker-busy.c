// refused: request to io_uring that is under way
// A request that a thread of the kernel does, and that takes long.
#include "io-uring.h"

int main(void) {
  struct ring r;
  int fds[2];
  char c;
  make(&r, 8, 0, 0);
  CHECK(pipe(fds) == 0);
  struct io_uring_sqe *e = queue(&r, IORING_OP_READ, 1);
  e->fd = fds[0], e->addr = (uint64_t)&c, e->len = 1, e->off = -1, e->flags = IOSQE_ASYNC;
  CHECK(enter(&r, 1, 0) == 1);
  rest_ms(20);
  moved();
  CHECK(write(fds[1], "x", 1) == 1);
  while (unseen(&r) == 0) CHECK(enter(&r, 0, 1) == 0);
  sees(&r, 1, 1);
  CHECK(c == 'x');
  right();
}
