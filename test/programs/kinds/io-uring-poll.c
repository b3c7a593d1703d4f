// refused: request to io_uring that is under way
// A poll that waits.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  int fds[2];
  CHECK(pipe(fds) == 0);
  struct io_uring_sqe *e = queue(&r, IORING_OP_POLL_ADD, 1);
  e->fd = fds[0], e->poll32_events = 1;
  CHECK(enter(&r, 1, 0) == 1);
  moved();
  right();
}
