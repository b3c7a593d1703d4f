// refused: buffers provided
// Buffers that the kernel chooses from.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  static char bytes[8192];
  struct io_uring_sqe *e = queue(&r, IORING_OP_PROVIDE_BUFFERS, 1);
  e->fd = 2, e->addr = (uint64_t)bytes, e->len = 4096, e->buf_group = 3;
  CHECK(enter(&r, 1, 1) == 1);
  sees(&r, 1, 0);
  moved();
  right();
}
