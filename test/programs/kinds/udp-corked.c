// A datagram that is being put together.
// refused: corked UDP data
#include "tcp-util.h"

int main(void) {
  addr_t x = loopback(4, 7220);
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(bind(a, (void *)&x.a, x.n) == 0 && connect(b, (void *)&x.a, x.n) == 0);
  CHECK(send(b, "one ", 4, MSG_MORE) == 4);
  moved();
  CHECK(send(b, "whole", 5, 0) == 5);
  reads(a, "one whole", 9);
  right();
}
