// refused: buffers registered
// Registered buffers.
#include "io-uring.h"
#include <sys/uio.h>

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  static char bytes[8192];
  struct iovec v = {bytes, sizeof bytes};
  CHECK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &v, 1) == 0);
  moved();
  right();
}
