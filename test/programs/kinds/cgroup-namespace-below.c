// refused: a cgroup namespace with another root
#include "cgroup.h"
#include "spaces.h"

int main(void) {
  CHECK(mkdir(TOP "/below", 0755) == 0);
  put_id(TOP "/below/cgroup.procs", 0);
  CHECK(unshare(CLONE_NEWCGROUP) == 0);
  moved();
  right();
}
