// Descriptors of the domain's own namespaces: they still are of its own.
#include "kind.h"
#include <sched.h>

static const char *const NAMES[] = {"mnt", "net", "ipc", "uts", "pid", "user", "cgroup", "time"};
enum { COUNT = sizeof NAMES / sizeof *NAMES };

int main(void) {
  int fds[COUNT];
  char path[64];
  struct stat one, other;
  for (int i = 0; i < COUNT; i++) {
    snprintf(path, sizeof path, "/proc/self/ns/%s", NAMES[i]);
    fds[i] = open(path, O_RDONLY | (i & 1 ? O_CLOEXEC : 0));
    CHECK(fds[i] >= 0);
  }
  moved();
  for (int i = 0; i < COUNT; i++) {
    snprintf(path, sizeof path, "/proc/self/ns/%s", NAMES[i]);
    CHECK(fstat(fds[i], &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev);
    CHECK(fcntl(fds[i], F_GETFD) == (i & 1 ? FD_CLOEXEC : 0));
  }
  CHECK(setns(fds[1], CLONE_NEWNET) == 0 && setns(fds[3], CLONE_NEWUTS) == 0);
  right();
}
