// A working directory on a file system that is mounted nowhere any more.
// refused: a file of what is unmounted
#include "kind.h"
#include <sys/mount.h>

int main(void) {
  CHECK(mkdir("/tmp/lazy-folder", 0755) == 0 && mount("it", "/tmp/lazy-folder", "tmpfs", 0, 0) == 0);
  CHECK(mkdir("/tmp/lazy-folder/in", 0755) == 0 && chdir("/tmp/lazy-folder/in") == 0);
  CHECK(close(open("file", O_CREAT | O_RDWR, 0600)) == 0);
  CHECK(umount2("/tmp/lazy-folder", MNT_DETACH) == 0);
  moved();
  CHECK(access("file", F_OK) == 0);
  right();
}
