// refused: a network interface of kind macvlan
#include "net.h"

int main(void) {
  make_pair();
  CHECK(system("busybox ip link add link left name odd type macvlan") == 0);
  moved();
  CHECK(if_nametoindex("odd") > 0);
  right();
}
