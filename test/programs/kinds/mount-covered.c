// A working directory that a mount covers: its name leads to something else, though nothing is unmounted.
// refused: a file that a mount covers
#include "kind.h"
#include <sys/mount.h>

int main(void) {
  CHECK(mkdir("/tmp/below", 0755) == 0 && mkdir("/tmp/below/sub", 0755) == 0 && chdir("/tmp/below/sub") == 0);
  CHECK(close(open("file", O_CREAT | O_RDWR, 0600)) == 0);
  CHECK(mount("above", "/tmp/below", "tmpfs", 0, 0) == 0);
  moved();
  CHECK(access("file", F_OK) == 0 && access("/tmp/below/sub", F_OK) == -1);
  CHECK(umount("/tmp/below") == 0 && access("/tmp/below/sub/file", F_OK) == 0);
  right();
}
