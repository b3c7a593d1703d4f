// UDP-Lite, which one of the kernels does not have any more.
// refused: UDP-Lite
#include "tcp-util.h"

int main(void) {
  addr_t x = loopback(4, 7230);
  int a = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), b = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
  CHECK(bind(a, (void *)&x.a, x.n) == 0 && connect(b, (void *)&x.a, x.n) == 0);
  CHECK(send(b, "hello there", 11, 0) == 11);
  moved();
  reads(a, "hello there", 11);
  right();
}
