// refused: io_uring
// A ring of io_uring.
#include "kind.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
int main(void) {
  struct io_uring_params p = {0};
  int fd = syscall(SYS_io_uring_setup, 8, &p);
  CHECK(fd >= 0);
  void *ring = mmap(0, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
  CHECK(ring != MAP_FAILED);
  moved();
  right();
}
