// Raw sockets of IPv4 and IPv6, with headers of their own, filters, names and peers; a socket of ICMP echoes.
#include "tcp-util.h"
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

static void echo(int fd, addr_t to, int raw) {
  struct icmphdr ask = {.type = ICMP_ECHO, .un.echo.sequence = htons(3), .un.echo.id = htons(77)};
  ask.checksum = (uint16_t)~(ask.type + 77 * 256 + 3 * 256);
  if (to.n > 0) CHECK(sendto(fd, &ask, sizeof ask, 0, (void *)&to.a, to.n) == sizeof ask);
  else CHECK(send(fd, &ask, sizeof ask, 0) == sizeof ask);
  char got[256];
  for (int i = 0; i < 10; i++) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK(poll(&p, 1, 5000) == 1 && recv(fd, got, sizeof got, 0) > 0);
    if (got[raw ? 20 : 0] == ICMP_ECHOREPLY) return;
  }
  CHECK(!"no answer");
}

int main(void) {
  addr_t x = loopback(4, 0);
  int a = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), b = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  int c = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), d = socket(AF_INET, SOCK_RAW, 200), e = socket(AF_INET, SOCK_RAW, 201);
  CHECK(a >= 0 && b >= 0 && c >= 0 && d >= 0 && e >= 0);
  struct icmp_filter { uint32_t data; } no_requests = {1 << ICMP_ECHO};
  CHECK(setsockopt(a, SOL_RAW, 1, &no_requests, sizeof no_requests) == 0);
  struct icmp6_filter six;
  ICMP6_FILTER_SETBLOCKALL(&six);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &six);
  CHECK(setsockopt(c, IPPROTO_ICMPV6, ICMP6_FILTER, &six, sizeof six) == 0);
  CHECK(connect(a, (void *)&x.a, x.n) == 0);
  CHECK(bind(d, (void *)&x.a, x.n) == 0 && connect(e, (void *)&x.a, x.n) == 0);
  int one = 1;
  CHECK(setsockopt(e, IPPROTO_IP, IP_HDRINCL, &one, sizeof one) == 0);
  FILE *range = fopen("/proc/sys/net/ipv4/ping_group_range", "w");
  CHECK(range && fprintf(range, "0 1000") > 0 && fclose(range) == 0);
  int ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  CHECK(ping >= 0);
  echo(ping, x, 0);
  struct sockaddr_in name, after;
  socklen_t n = sizeof name;
  CHECK(getsockname(ping, (void *)&name, &n) == 0);
  moved();
  echo(a, (addr_t){0}, 1);
  echo(ping, x, 0);
  CHECK(getsockname(ping, (void *)&after, &n) == 0 && name.sin_port == after.sin_port);
  struct icmp_filter now;
  n = sizeof now;
  CHECK(getsockopt(a, SOL_RAW, 1, &now, &n) == 0 && now.data == no_requests.data);
  struct icmp6_filter six_now;
  n = sizeof six_now;
  CHECK(getsockopt(c, IPPROTO_ICMPV6, ICMP6_FILTER, &six_now, &n) == 0 && memcmp(&six, &six_now, sizeof six) == 0);
  CHECK(getopt_int(e, IPPROTO_IP, IP_HDRINCL) == 1 && getopt_int(b, IPPROTO_IP, IP_HDRINCL) == 1);
  // To its peer, and with its own header.
  struct { struct iphdr h; char text[4]; } own = {{.version = 4, .ihl = 5, .ttl = 9, .protocol = 201, .daddr = htonl(INADDR_LOOPBACK)}, "own"};
  char got[64];
  CHECK(send(e, &own, sizeof own, 0) == sizeof own && recv(e, got, sizeof got, 0) == sizeof own);
  CHECK(memcmp(got + 20, "own", 4) == 0 && ((struct iphdr *)got)->ttl == 9);
  int s = socket(AF_INET, SOCK_RAW, 200);
  CHECK(sendto(s, "hello", 5, 0, (void *)&x.a, x.n) == 5);
  CHECK(recv(d, got, sizeof got, 0) == 25 && memcmp(got + 20, "hello", 5) == 0);
  right();
}
