// hops: 4
// fails: describe shape files flip finish resume
// A ring of io_uring that rests: what was not submitted, what was not seen, and all works on.
#include "io-uring.h"

int main(void) {
  struct ring r, s;
  make(&r, 8, 0, 0);
  nops(&r, 43, 1000);
  // Seven completions that nobody has seen, around the end of their array; two requests that were not submitted.
  for (int i = 0; i < 7; i++) queue(&r, IORING_OP_NOP, 50 + i);
  CHECK(enter(&r, 7, 7) == 7);
  queue(&r, IORING_OP_NOP, 60);
  queue(&r, IORING_OP_NOP, 61);
  make(&s, 2, IORING_SETUP_CQSIZE, 64);
  works(&s, 1);
  // Never used.
  struct ring t;
  make(&t, 1, 0, 0);
  CHECK(fcntl(t.fd, F_SETFL, O_NONBLOCK) == 0);
  moved();
  CHECK(unseen(&r) == 7);
  CHECK(fcntl(r.fd, F_GETFD) == FD_CLOEXEC && fcntl(r.fd, F_GETFL) == O_RDWR);
  CHECK(fcntl(t.fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
  // Nine more fit: not one is lost.
  CHECK(enter(&r, 2, 9) == 2 && unseen(&r) == 9);
  for (int i = 0; i < 7; i++) queue(&r, IORING_OP_NOP, 62 + i);
  CHECK(enter(&r, 7, 16) == 7 && unseen(&r) == 16);
  for (int i = 0; i < 7; i++) sees(&r, 50 + i, 0);
  for (int i = 0; i < 9; i++) sees(&r, 60 + i, 0);
  CHECK(unseen(&r) == 0 && *word(&r, r.p.cq_off.overflow) == 0 && *word(&r, r.p.sq_off.dropped) == 0);
  nops(&r, 100, 2000);
  works(&r, 2);
  works(&s, 3);
  works(&t, 4);
  nops(&s, 100, 1);
  // What is too much is kept by the kernel, as ever.
  for (int i = 0; i < 20; i++) {
    queue(&r, IORING_OP_NOP, i);
    CHECK(enter(&r, 1, 0) == 1);
  }
  CHECK(unseen(&r) == 16);
  for (int i = 0; i < 16; i++) sees(&r, i, 0);
  CHECK(enter(&r, 0, 4) == 0 && unseen(&r) == 4);
  for (int i = 16; i < 20; i++) sees(&r, i, 0);
  right();
}
