// refused: one of several rings
// late
// Which of several rings a thread has a number for nobody tells.
#include "io-uring.h"

int main(void) {
  struct ring r, s;
  make(&r, 8, 0, 0);
  make(&s, 8, 0, 0);
  struct io_uring_rsrc_update up = {.offset = -1, .data = r.fd};
  CHECK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_RING_FDS, &up, 1) == 1);
  moved();
  right();
}
