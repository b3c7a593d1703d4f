// refused: a netlink socket of generic netlink
#include "net.h"

int main(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
  CHECK(fd >= 0);
  moved();
  CHECK(close(fd) == 0);
  right();
}
