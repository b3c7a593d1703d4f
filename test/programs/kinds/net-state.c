// The network namespace: addresses, routes, rules, a neighbour, flags of the loopback interface, a pair of interfaces, settings.
#include "net.h"
#include "text.h"
#include <arpa/inet.h>
#include <net/if_arp.h>

static void ip(const char *arguments) {
  char command[256];
  snprintf(command, sizeof command, "busybox ip %s", arguments);
  run(command);
}

static struct { const char *ask; char before[8192]; } looks[] = {
  {"busybox ip addr | grep -v valid_lft"}, {"busybox ip route show table all | grep -v cache | sort"}, {"busybox ip rule"},
  {"busybox ip -6 route | grep -v 'proto kernel' | sort"}, {"cat /proc/net/arp"}, {"busybox ip -6 rule"},
};

// Tells the first line that is another.
static void same(const char *what, char *before, char *now) {
  if (strcmp(before, now) == 0) return;
  for (;;) {
    size_t n = strcspn(before, "\n"), m = strcspn(now, "\n");
    if (n != m || strncmp(before, now, n)) {
      printf("broken: %s: \"%.*s\" became \"%.*s\"\n", what, (int)n, before, (int)m, now);
      fflush(stdout);
      _exit(1);
    }
    before += n + 1, now += m + 1;
  }
}

int main(void) {
  make_pair();
  ip("link set left address 02:00:00:00:00:07 mtu 1400"), ip("link set left up"), ip("link set right up");
  ip("addr add 10.11.12.13/24 dev left"), ip("addr add 10.99.0.1/32 dev lo"), ip("-6 addr add fd00::7/64 dev left");
  ip("-6 addr add fd00::8/128 dev lo"), ip("link set lo mtu 30000");
  ip("route add 10.50.0.0/16 via 10.11.12.1"), ip("route add 10.60.0.0/16 dev left table 77 metric 5");
  ip("route add unreachable 10.70.0.0/16"), ip("-6 route add fd11::/64 via fd00::1");
  ip("rule add from 10.1.0.0/16 table 77 priority 1000");
  int arp = socket(AF_INET, SOCK_STREAM, 0);
  struct arpreq neighbour = {.arp_flags = ATF_PERM | ATF_COM, .arp_dev = "left", .arp_ha = {.sa_family = ARPHRD_ETHER, .sa_data = {2, 0, 0, 0, 0, 1}}};
  *(struct sockaddr_in *)&neighbour.arp_pa = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.11.12.1")};
  CHECK(ioctl(arp, SIOCSARP, &neighbour) == 0 && close(arp) == 0);
  put("/proc/sys/net/ipv4/ip_forward", "1"), put("/proc/sys/net/core/somaxconn", "777"), put("/proc/sys/net/unix/max_dgram_qlen", "33");
  put("/proc/sys/net/ipv4/conf/left/rp_filter", "2"), put("/proc/sys/net/ipv4/ip_local_port_range", "20000 30001");
  put("/proc/sys/net/ipv4/conf/lo/forwarding", "0"), put("/proc/sys/net/ipv4/ping_group_range", "0 100");
  put("/proc/sys/net/ipv6/conf/left/hop_limit", "33"), put("/proc/sys/net/ipv4/conf/default/arp_ignore", "1");
  rest_ms(2500);
  for (unsigned i = 0; i < sizeof looks / sizeof *looks; i++) strcpy(looks[i].before, output(looks[i].ask));

  moved();

  for (unsigned i = 0; i < sizeof looks / sizeof *looks; i++) {
    char *now = output(looks[i].ask);
    same(looks[i].ask, looks[i].before, now);
  }
  holds("/proc/sys/net/ipv4/ip_forward", "1\n");
  holds("/proc/sys/net/core/somaxconn", "777\n");
  holds("/proc/sys/net/unix/max_dgram_qlen", "33\n");
  holds("/proc/sys/net/ipv4/conf/left/rp_filter", "2\n");
  holds("/proc/sys/net/ipv4/conf/lo/forwarding", "0\n");
  holds("/proc/sys/net/ipv4/conf/left/forwarding", "1\n");
  holds("/proc/sys/net/ipv4/ip_local_port_range", "20000\t30001\n");
  holds("/proc/sys/net/ipv4/ping_group_range", "0\t100\n");
  holds("/proc/sys/net/ipv6/conf/left/hop_limit", "33\n");
  holds("/proc/sys/net/ipv4/conf/default/arp_ignore", "1\n");
  right();
}
