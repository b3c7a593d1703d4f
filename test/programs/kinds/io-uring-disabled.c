// refused: R_DISABLED
// A ring that is not enabled yet.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, IORING_SETUP_R_DISABLED, 0);
  moved();
  right();
}
