// refused: io_uring whose descriptor is closed
// A ring whose descriptor is closed, but which is mapped still.
#include "io-uring.h"

int main(void) {
  struct ring r;
  make(&r, 8, 0, 0);
  CHECK(close(r.fd) == 0);
  moved();
  nops(&(struct ring){0}, 0, 0);
  right();
}
