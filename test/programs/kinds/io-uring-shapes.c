// hops: 4
// fails: describe shape files flip finish resume
// Rings of io_uring of several shapes, used before and after.
#include "io-uring.h"

int main(void) {
  static const unsigned flags[] = {
      NO_SQARRAY, IORING_SETUP_SQE128, IORING_SETUP_CQE32, NO_SQARRAY | IORING_SETUP_CQE32, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, IORING_SETUP_COOP_TASKRUN, 0,
  };
  static const unsigned entries[] = {1, 4, 256};
  enum { N = sizeof flags / 4, M = sizeof entries / 4 };
  struct ring r[N * M];
  for (int i = 0; i < N * M; i++) {
    make(&r[i], entries[i % M], flags[i / M], 0);
    nops(&r[i], 2 * entries[i % M] + i % M, 7);
    works(&r[i], i);
    queue(&r[i], IORING_OP_NOP, 77 + i);
  }
  moved();
  for (int i = 0; i < N * M; i++) {
    CHECK(enter(&r[i], 1, 1) == 1);
    sees(&r[i], 77 + i, 0);
    nops(&r[i], 2 * entries[i % M] + 3, 9);
    works(&r[i], i);
  }
  right();
}
