// refused: an eventfd registered
// An eventfd that is told of completions.
#include "io-uring.h"
#include <sys/eventfd.h>

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  int fd = eventfd(0, 0);
  CHECK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_EVENTFD, &fd, 1) == 0);
  moved();
  right();
}
