// Options of UDP sockets, a classic filter, multicast groups with their sources.
#include "tcp-util.h"
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/udp.h>

int main(void) {
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0), cork = socket(AF_INET, SOCK_DGRAM, 0);
  addr_t x = loopback(4, 7210), y = {0};
  set(a, SOL_SOCKET, SO_REUSEADDR, 1);
  set(a, SOL_SOCKET, SO_BROADCAST, 1);
  set(a, SOL_SOCKET, SO_RCVBUF, 40000);
  set(a, SOL_SOCKET, SO_PRIORITY, 5);
  set(a, SOL_SOCKET, SO_MARK, 77);
  set(a, SOL_SOCKET, SO_NO_CHECK, 1);
  set(a, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set(a, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set(a, IPPROTO_IP, IP_TTL, 9);
  set(a, IPPROTO_IP, IP_PKTINFO, 1);
  set(a, IPPROTO_IP, IP_RECVERR, 1);
  set(a, IPPROTO_IP, IP_MULTICAST_TTL, 7);
  set(a, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
  set(a, IPPROTO_IP, IP_FREEBIND, 1);
  set(a, IPPROTO_UDP, UDP_SEGMENT, 1000);
  set(cork, IPPROTO_UDP, UDP_CORK, 1);
  CHECK(setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
  struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = htons(7211), .sin_addr.s_addr = htonl(0x0a0b0c0d)};
  CHECK(bind(a, (void *)&nowhere, sizeof nowhere) == 0);
  set(b, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  set(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 11);
  set(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  set(b, IPPROTO_IPV6, IPV6_TCLASS, 0x40);
  set(b, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3);
  y = loopback(6, 7210);
  ((struct sockaddr_in6 *)&y.a)->sin6_addr = in6addr_any;
  CHECK(bind(b, (void *)&y.a, y.n) == 0);
  // Takes no datagram that begins with an x.
  int f = socket(AF_INET, SOCK_DGRAM, 0);
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0xffff)};
  struct sock_fprog program = {4, code};
  CHECK(bind(f, (void *)&x.a, x.n) == 0);
  CHECK(setsockopt(f, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
  set(f, SOL_SOCKET, SO_LOCK_FILTER, 1);
  // Groups, over the loopback interface.
  int m = socket(AF_INET, SOCK_DGRAM, 0);
  struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xe0000a01), .imr_ifindex = 1};
  CHECK(setsockopt(m, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0);
  struct ip_mreq_source source = {.imr_multiaddr.s_addr = htonl(0xe0000a02), .imr_interface.s_addr = htonl(INADDR_LOOPBACK), .imr_sourceaddr.s_addr = htonl(0x7f000009)};
  CHECK(setsockopt(m, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &source, sizeof source) == 0);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7212)};
  CHECK(bind(m, (void *)&any, sizeof any) == 0);
  struct ipv6_mreq group6 = {.ipv6mr_interface = 1};
  CHECK(inet_pton(AF_INET6, "ff02::77", &group6.ipv6mr_multiaddr) == 1);
  CHECK(setsockopt(b, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group6, sizeof group6) == 0);
  moved();
  CHECK(getopt_int(a, SOL_SOCKET, SO_REUSEADDR) == 1 && getopt_int(a, SOL_SOCKET, SO_BROADCAST) == 1);
  CHECK(getopt_int(a, SOL_SOCKET, SO_RCVBUF) == 80000 && getopt_int(a, SOL_SOCKET, SO_PRIORITY) == 5);
  CHECK(getopt_int(a, SOL_SOCKET, SO_MARK) == 77 && getopt_int(a, SOL_SOCKET, SO_NO_CHECK) == 1);
  CHECK(getopt_int(a, SOL_SOCKET, SO_TIMESTAMPNS) == 1 && getopt_int(a, SOL_SOCKET, SO_TIMESTAMP) == 0);
  CHECK(getopt_int(a, SOL_SOCKET, SO_RXQ_OVFL) == 1 && getopt_int(a, IPPROTO_IP, IP_TTL) == 9);
  CHECK(getopt_int(a, IPPROTO_IP, IP_PKTINFO) == 1 && getopt_int(a, IPPROTO_IP, IP_RECVERR) == 1);
  CHECK(getopt_int(a, IPPROTO_IP, IP_MULTICAST_TTL) == 7 && getopt_int(a, IPPROTO_IP, IP_MULTICAST_LOOP) == 0);
  CHECK(getopt_int(a, IPPROTO_IP, IP_FREEBIND) == 1 && getopt_int(a, IPPROTO_UDP, UDP_SEGMENT) == 1000);
  char device[IFNAMSIZ];
  socklen_t n = sizeof device;
  CHECK(getsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, device, &n) == 0 && strcmp(device, "lo") == 0);
  CHECK(getopt_int(b, IPPROTO_IPV6, IPV6_V6ONLY) == 1 && getopt_int(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS) == 11);
  CHECK(getopt_int(b, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 1 && getopt_int(b, IPPROTO_IPV6, IPV6_TCLASS) == 0x40);
  CHECK(getopt_int(b, IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 3);
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(sendto(s, "xyz", 3, 0, (void *)&x.a, x.n) == 3 && sendto(s, "abc", 3, 0, (void *)&x.a, x.n) == 3);
  reads(f, "abc", 3);
  CHECK(getopt_int(cork, IPPROTO_UDP, UDP_CORK) == 1 && getopt_int(a, IPPROTO_UDP, UDP_CORK) == 0);
  CHECK(sendto(cork, "corked", 6, 0, (void *)&x.a, x.n) == 6 && recv(f, device, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  set(cork, IPPROTO_UDP, UDP_CORK, 0);
  reads(f, "corked", 6);
  CHECK(getopt_int(f, SOL_SOCKET, SO_LOCK_FILTER) == 1);
  CHECK(setsockopt(m, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == -1 && errno == EADDRINUSE);
  CHECK(setsockopt(m, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &source, sizeof source) == 0);
  CHECK(setsockopt(b, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group6, sizeof group6) == -1 && errno == EADDRINUSE);
  any.sin_addr.s_addr = htonl(0xe0000a01);
  struct ip_mreqn out = {.imr_ifindex = 1};
  CHECK(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out) == 0);
  CHECK(sendto(s, "to all", 6, 0, (void *)&any, sizeof any) == 6);
  reads(m, "to all", 6);
  right();
}
