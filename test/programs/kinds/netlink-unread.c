// refused: a netlink socket with something unread
#include "net.h"

int main(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct { struct nlmsghdr h; struct ifinfomsg i; } q = {{sizeof q, RTM_GETLINK, NLM_F_REQUEST, 7, 0}, {.ifi_index = 1}};
  CHECK(send(fd, &q, sizeof q, 0) == sizeof q);
  moved();
  char answer[8192];
  CHECK(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0);
  right();
}
