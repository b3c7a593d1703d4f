// What the programs of the network have in common.
#pragma once
#include "kind.h"
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static inline struct rtattr *add(struct nlmsghdr *h, int type, const void *data, int length) {
  struct rtattr *a = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));
  a->rta_type = type, a->rta_len = RTA_LENGTH(length);
  if (length > 0) memcpy(RTA_DATA(a), data, length);
  h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
  return a;
}

// Makes a pair of interfaces, `left` and `right`.
static inline void make_pair(void) {
  char buffer[1024] = {0};
  struct nlmsghdr *h = (void *)buffer;
  h->nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), h->nlmsg_type = RTM_NEWLINK;
  h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  add(h, IFLA_IFNAME, "left", 5);
  struct rtattr *info = add(h, IFLA_LINKINFO, 0, 0);
  add(h, IFLA_INFO_KIND, "veth", 5);
  struct rtattr *data = add(h, IFLA_INFO_DATA, 0, 0), *peer = add(h, VETH_INFO_PEER, "", 0);
  h->nlmsg_len += sizeof(struct ifinfomsg);
  add(h, IFLA_IFNAME, "right", 6);
  char *end = (char *)h + h->nlmsg_len;
  peer->rta_len = end - (char *)peer, data->rta_len = end - (char *)data, info->rta_len = end - (char *)info;
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  CHECK(send(fd, buffer, h->nlmsg_len, 0) == (ssize_t)h->nlmsg_len && recv(fd, buffer, sizeof buffer, 0) > 0);
  int error = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
  if (error) printf("broken: no veth pair: %d\n", error);
  CHECK(error == 0 && close(fd) == 0);
}

static inline void run(const char *command) {
  int status = system(command);
  if (status != 0) printf("broken: %s\n", command);
  CHECK(status == 0);
}

// What a command writes; the last four answers are kept.
static inline char *output(const char *command) {
  static char text[4][8192];
  static int turn;
  char *t = text[turn++ % 4];
  FILE *f = popen(command, "r");
  CHECK(f != 0);
  t[fread(t, 1, 8191, f)] = 0;
  CHECK(pclose(f) == 0);
  return t;
}
