// Packet sockets: of each type, bound to an interface or to none, with options and memberships; they still hear what passes.
#include "net.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

static struct sockaddr_ll name(int fd) {
  struct sockaddr_ll a;
  socklen_t n = sizeof a;
  CHECK(getsockname(fd, (void *)&a, &n) == 0);
  return a;
}

static int option(int fd, int which) {
  int value = -1;
  socklen_t n = sizeof value;
  CHECK(getsockopt(fd, SOL_PACKET, which, &value, &n) == 0);
  return value;
}

// Something goes over the loopback interface, and is heard.
static void hears(int fd) {
  char got[2000];
  while (recv(fd, got, sizeof got, MSG_DONTWAIT) >= 0) {}
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1, .sll_halen = 6};
  int out = socket(AF_PACKET, SOCK_DGRAM, 0);
  CHECK(sendto(out, "\x45 a packet with a mark", 23, 0, (void *)&to, sizeof to) == 23 && close(out) == 0);
  ssize_t n = recv(fd, got, sizeof got, 0);
  CHECK(n >= 23 && memmem(got, n, "with a mark", 11) != 0);
}

int main(void) {
  make_pair();
  CHECK(system("busybox ip link set left up && busybox ip link set right up") == 0);
  int left = if_nametoindex("left");
  int raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), cooked = socket(AF_PACKET, SOCK_DGRAM, 0), idle = socket(AF_PACKET, SOCK_RAW, 0);
  int old = socket(AF_PACKET, SOCK_PACKET, htons(ETH_P_ARP));
  CHECK(raw >= 0 && cooked >= 0 && idle >= 0 && old >= 0);
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
  CHECK(bind(cooked, (void *)&a, sizeof a) == 0);
  CHECK(setsockopt(cooked, SOL_PACKET, PACKET_AUXDATA, &(int){1}, sizeof(int)) == 0);
  CHECK(setsockopt(cooked, SOL_PACKET, PACKET_RESERVE, &(int){5}, sizeof(int)) == 0);
  CHECK(setsockopt(raw, SOL_PACKET, PACKET_VERSION, &(int){TPACKET_V2}, sizeof(int)) == 0);
  CHECK(setsockopt(raw, SOL_PACKET, PACKET_ORIGDEV, &(int){1}, sizeof(int)) == 0);
  struct packet_mreq m = {.mr_ifindex = left, .mr_type = PACKET_MR_PROMISC};
  CHECK(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) == 0);
  struct packet_mreq group = {.mr_ifindex = left, .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6, .mr_address = {1, 0, 0x5e, 1, 2, 3}};
  CHECK(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof group) == 0);
  hears(raw), hears(cooked);

  moved();

  CHECK(if_nametoindex("left") == (unsigned)left);
  CHECK(name(raw).sll_protocol == htons(ETH_P_ALL) && name(raw).sll_ifindex == 0);
  CHECK(name(cooked).sll_protocol == htons(ETH_P_IP) && name(cooked).sll_ifindex == 1 && name(idle).sll_protocol == 0);
  CHECK(option(cooked, PACKET_AUXDATA) == 1 && option(cooked, PACKET_RESERVE) == 5 && option(idle, PACKET_AUXDATA) == 0);
  CHECK(option(raw, PACKET_VERSION) == TPACKET_V2 && option(raw, PACKET_ORIGDEV) == 1);
  hears(raw), hears(cooked);
  char got[100];
  CHECK(recv(idle, got, sizeof got, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  CHECK(setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m) == 0);
  CHECK(setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &group, sizeof group) == 0);
  right();
}
