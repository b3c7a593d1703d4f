// A network namespace of a process's own, without sockets: addresses, routes, a pair of interfaces, settings.
#include "net.h"
#include "spaces.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static const char *const LOOKS[] = {"busybox ip addr | grep -v valid_lft", "busybox ip route show table all | grep -v cache | sort", "busybox ip rule", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/left/rp_filter /proc/sys/net/ipv4/ip_default_ttl"};
enum { COUNT = sizeof LOOKS / sizeof *LOOKS };
static char before[COUNT][8192];

static int connects(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("127.0.0.7"), .sin_port = htons(99)};
  int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
  int one = 1;
  CHECK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  int good = bind(s, (void *)&at, sizeof at) == 0 && listen(s, 1) == 0 && connect(c, (void *)&at, sizeof at) == 0;
  close(s), close(c);
  return good;
}

static void nested(void) {
  CHECK(unshare(CLONE_NEWNET) == 0);
  run("busybox ip link set lo up");
  make_pair();
  run("busybox ip addr add 10.9.8.7/24 dev left");
  run("busybox ip link set left up");
  run("busybox ip link set right up");
  run("busybox ip route add 10.77.0.0/16 via 10.9.8.1");
  run("busybox ip rule add from 10.9.8.0/24 table 77");
  run("echo 1 > /proc/sys/net/ipv4/ip_forward");
  run("echo 2 > /proc/sys/net/ipv4/conf/left/rp_filter");
  run("echo 33 > /proc/sys/net/ipv4/ip_default_ttl");
  rest_ms(2500);  // Until the addresses of IPv6 have been tried.
  for (int i = 0; i < COUNT; i++) strcpy(before[i], output(LOOKS[i]));
  CHECK(connects());
  done();
  until_told(0);
  for (int i = 0; i < COUNT; i++) {
    const char *now = output(LOOKS[i]);
    if (strcmp(now, before[i])) printf("broken: %s: %s\nwas %s\n", LOOKS[i], now, before[i]);
    CHECK(!strcmp(now, before[i]));
  }
  CHECK(connects());
}

int main(void) {
  CHECK(pipe(step) == 0);
  const char *home = output(LOOKS[0]);
  pid_t a = child(nested);
  wait_done();
  moved();
  CHECK(!strcmp(home, output(LOOKS[0])));
  CHECK(!same_space("net", 1, a) && same_space("net", 1, getpid()));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  right();
}
