// refused: a cgroup namespace with another root
#include "cgroup.h"
#include "spaces.h"

int main(void) {
  CHECK(mkdir("/sys/fs/cgroup/below", 0755) == 0);
  int fd = open("/sys/fs/cgroup/below/cgroup.procs", O_WRONLY);
  CHECK(fd >= 0 && write(fd, "0", 1) == 1 && close(fd) == 0);
  CHECK(unshare(CLONE_NEWCGROUP) == 0);
  moved();
  right();
}
