// refused: IOPOLL
// A ring that polls devices.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, IORING_SETUP_IOPOLL, 0);
  moved();
  right();
}
