// hops: 4
// fails: describe shape files flip finish resume
// A ring of io_uring that threads have numbers of their own for (IORING_REGISTER_RING_FDS).
#include "io-uring.h"
#include <pthread.h>

static struct ring r;
static int fds[2];

static void asks(int index) {
  int done = syscall(SYS_io_uring_enter, index, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, 0, 8);
  CHECK(done == 1);
}

static int registered(int index) {
  struct io_uring_rsrc_update up = {.offset = index, .data = r.fd};
  CHECK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_RING_FDS, &up, 1) == 1);
  return up.offset;
}

static void *other(void *x) {
  char c;
  CHECK(registered(11) == 11);
  CHECK(read(fds[0], &c, 1) == 1);
  queue(&r, IORING_OP_NOP, 4);
  asks(11);
  sees(&r, 4, 0);
  CHECK(syscall(SYS_io_uring_enter, 0, 0, 0, IORING_ENTER_REGISTERED_RING, 0, 8) == -1 && errno == EBADF);
  return 0;
}

int main(void) {
  pthread_t thread;
  make(&r, 8, 0, 0);
  CHECK(pipe(fds) == 0 && pthread_create(&thread, 0, other, 0) == 0);
  int index = registered(-1);
  rest_ms(20);
  moved();
  queue(&r, IORING_OP_NOP, 3);
  asks(index);
  sees(&r, 3, 0);
  CHECK(write(fds[1], "x", 1) == 1 && pthread_join(thread, 0) == 0);
  right();
}
