// refused: files registered
// Registered files.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  int fds[2] = {0, 1};
  CHECK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, fds, 2) == 0);
  moved();
  right();
}
