// fails: shape finish
// Netlink sockets: bound to a port, to groups, connected, as they come; they still ask, are answered, and hear.
#include "net.h"
#include <linux/netlink.h>

#define SOL_NETLINK_ 270

static struct sockaddr_nl name(int fd) {
  struct sockaddr_nl a;
  socklen_t n = sizeof a;
  CHECK(getsockname(fd, (void *)&a, &n) == 0 && n == sizeof a);
  return a;
}

// Asks for the loopback interface, and is told.
static void asks(int fd) {
  struct { struct nlmsghdr h; struct ifinfomsg i; } q = {{sizeof q, RTM_GETLINK, NLM_F_REQUEST, 7, 0}, {.ifi_index = 1}};
  char answer[8192];
  CHECK(send(fd, &q, sizeof q, 0) == sizeof q);
  CHECK(recv(fd, answer, sizeof answer, 0) > 0 && ((struct nlmsghdr *)answer)->nlmsg_type == RTM_NEWLINK);
  CHECK(((struct nlmsghdr *)answer)->nlmsg_seq == 7);
}

int main(void) {
  int fresh = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), bound = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);
  int hears = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE), events = socket(AF_NETLINK, SOCK_DGRAM, 15);
  int diag = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG), asked = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = 4711};
  CHECK(bind(bound, (void *)&a, sizeof a) == 0);
  a.nl_pid = 0, a.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR;
  CHECK(bind(hears, (void *)&a, sizeof a) == 0);
  CHECK(setsockopt(hears, SOL_NETLINK_, NETLINK_ADD_MEMBERSHIP, &(int){RTNLGRP_NSID}, sizeof(int)) == 0);
  a.nl_groups = 1;
  CHECK(bind(events, (void *)&a, sizeof a) == 0);
  a.nl_groups = 0;
  CHECK(connect(diag, (void *)&a, sizeof a) == 0);
  asks(asked);
  CHECK(setsockopt(asked, SOL_NETLINK_, NETLINK_EXT_ACK, &(int){1}, sizeof(int)) == 0);
  CHECK(setsockopt(asked, SOL_NETLINK_, NETLINK_NO_ENOBUFS, &(int){1}, sizeof(int)) == 0);
  CHECK(setsockopt(hears, SOL_SOCKET, SO_RCVBUF, &(int){50000}, sizeof(int)) == 0);
  uint32_t asked_port = name(asked).nl_pid, hears_port = name(hears).nl_pid;
  CHECK(asked_port != 0 && name(fresh).nl_pid == 0);

  moved();

  CHECK(name(fresh).nl_pid == 0 && name(bound).nl_pid == 4711 && name(asked).nl_pid == asked_port && name(hears).nl_pid == hears_port);
  CHECK(name(hears).nl_groups == (RTMGRP_LINK | RTMGRP_IPV4_IFADDR | 1u << (RTNLGRP_NSID - 1)) && name(events).nl_groups == 1);
  asks(fresh), asks(bound), asks(asked);
  int value = 0;
  socklen_t size = sizeof value;
  CHECK(getsockopt(asked, SOL_NETLINK_, NETLINK_EXT_ACK, &value, &size) == 0 && value == 1);
  CHECK(getsockopt(asked, SOL_NETLINK_, NETLINK_NO_ENOBUFS, &value, &size) == 0 && value == 1);
  CHECK(getsockopt(fresh, SOL_NETLINK_, NETLINK_EXT_ACK, &value, &size) == 0 && value == 0);
  CHECK(getsockopt(hears, SOL_SOCKET, SO_RCVBUF, &value, &size) == 0 && value == 100000);
  CHECK(getsockopt(diag, SOL_SOCKET, SO_PROTOCOL, &value, &size) == 0 && value == NETLINK_SOCK_DIAG);
  char told[4096];
  CHECK(recv(hears, told, sizeof told, 0) == -1 && errno == EAGAIN);
  CHECK(recv(events, told, sizeof told, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  CHECK(system("busybox ip link set lo mtu 1234") == 0);
  CHECK(recv(hears, told, sizeof told, 0) > 0 && ((struct nlmsghdr *)told)->nlmsg_type == RTM_NEWLINK);
  right();
}
