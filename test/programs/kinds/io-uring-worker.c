// hops: 4
// fails: describe shape files flip finish resume
// Requests that threads of the kernel have done, which wait for more; a thread that is only called so.
#include "io-uring.h"
#include <pthread.h>
#include <sys/prctl.h>

static int fds[2];

static void *named(void *x) {
  char c;
  CHECK(prctl(PR_SET_NAME, "iou-wrk-7") == 0);
  CHECK(read(fds[0], &c, 1) == 1);
  return 0;
}

static void asked(struct ring *r) {
  for (int i = 0; i < 4; i++) {
    struct io_uring_sqe *e = queue(r, IORING_OP_NOP, i);
    e->flags = IOSQE_ASYNC;
  }
  CHECK(enter(r, 4, 4) == 4 && unseen(r) == 4);
  for (int i = 0; i < 4; i++) *word(r, r->p.cq_off.head) += 1;
}

int main(void) {
  struct ring r;
  pthread_t thread;
  make(&r, 8, 0, 0);
  CHECK(pipe(fds) == 0 && pthread_create(&thread, 0, named, 0) == 0);
  rest_ms(20);
  asked(&r);
  moved();
  asked(&r);
  CHECK(write(fds[1], "x", 1) == 1 && pthread_join(thread, 0) == 0);
  works(&r, 1);
  right();
}
