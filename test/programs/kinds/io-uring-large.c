// hops: 3
// The largest rings of io_uring, and one that shares the work of another.
#include "io-uring.h"

int main(void) {
  struct ring r, s, t;
  make(&r, 32768, IORING_SETUP_CQSIZE, 65536);
  make(&s, 32768, NO_SQARRAY, 0);
  nops(&r, 70000, 0);
  nops(&s, 10, 0);
  for (int i = 0; i < 500; i++) queue(&r, IORING_OP_NOP, i);
  CHECK(enter(&r, 500, 500) == 500);
  for (int i = 0; i < 500; i++) queue(&r, IORING_OP_NOP, 500 + i);
  t = (struct ring){.p = {.flags = IORING_SETUP_ATTACH_WQ, .wq_fd = r.fd}};
  t.fd = syscall(SYS_io_uring_setup, 1, &t.p);
  CHECK(t.fd >= 0);
  moved();
  CHECK(enter(&r, 500, 1000) == 500 && unseen(&r) == 1000);
  for (int i = 0; i < 1000; i++) sees(&r, i, 0);
  nops(&r, 40000, 3);
  nops(&s, 40000, 4);
  right();
}
