// refused: SINGLE_ISSUER
// A ring for one thread only.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, IORING_SETUP_SINGLE_ISSUER, 0);
  moved();
  right();
}
