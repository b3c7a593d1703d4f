// A cgroup namespace of a process's own, with the domain's cgroup as its root.
#include "spaces.h"

static int step[2];
static void nested(void) {
  CHECK(unshare(CLONE_NEWCGROUP) == 0 && write(step[1], "x", 1) == 1);
  until_told(0);
  char got[100] = "";
  int fd = open("/proc/self/cgroup", O_RDONLY);
  CHECK(fd >= 0 && read(fd, got, 99) > 0 && !strcmp(got, "0::/\n"));
}

int main(void) {
  char c;
  CHECK(pipe(step) == 0);
  pid_t a = child(nested);
  CHECK(read(step[0], &c, 1) == 1);
  int fd = open_space("cgroup", a);
  moved();
  CHECK(!same_space("cgroup", 1, a) && same_space("cgroup", 1, getpid()) && is_space(fd, "cgroup", a));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  right();
}
