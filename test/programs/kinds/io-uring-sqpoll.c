// refused: SQPOLL
// A ring with a thread of the kernel.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, IORING_SETUP_SQPOLL, 0);
  moved();
  right();
}
