// hops: 4
// A ring of io_uring that has had very many requests, shared with a child that has it mapped.
#include "io-uring.h"

static struct ring r;

static void other(void) {
  until_told(0);
  r.tail = *word(&r, r.p.sq_off.tail);
  nops(&r, 1, 5);
}

int main(void) {
  make(&r, 256, NO_SQARRAY, 0);
  nops(&r, 300001, 0);
  pid_t pid = child(other);
  moved();
  nops(&r, 1000, 0);
  CHECK(kill(pid, SIGTERM) == 0);
  ends_well(pid);
  // The child has counted on.
  r.tail = *word(&r, r.p.sq_off.tail);
  nops(&r, 600, 3);
  right();
}
