// A network namespace of which something was taken away: the loopback interface is down, an address and a rule are gone.
#include "kind.h"

static char before[2][4096];
static void look(char *into, const char *command) {
  FILE *f = popen(command, "r");
  CHECK(f != 0);
  into[fread(into, 1, 4095, f)] = 0;
  pclose(f);
}

int main(void) {
  CHECK(system("busybox ip link set lo down && busybox ip -6 rule del from all lookup main") == 0);
  CHECK(system("busybox ip rule del from all lookup default") == 0);
  look(before[0], "busybox ip addr | grep -v valid_lft"), look(before[1], "busybox ip rule; busybox ip -6 rule; busybox ip route");
  moved();
  char now[4096];
  look(now, "busybox ip addr | grep -v valid_lft");
  if (strcmp(now, before[0])) fprintf(stderr, "before:\n%safter:\n%s", before[0], now);
  CHECK(strcmp(now, before[0]) == 0);
  look(now, "busybox ip rule; busybox ip -6 rule; busybox ip route");
  if (strcmp(now, before[1])) fprintf(stderr, "before:\n%safter:\n%s", before[1], now);
  CHECK(strcmp(now, before[1]) == 0);
  right();
}
