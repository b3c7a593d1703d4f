// A file of a file system that is mounted nowhere any more, in whose place there is another of that name.
// refused: a file of what is unmounted
#include "kind.h"
#include <sys/mount.h>

int main(void) {
  char got[10];
  CHECK(mkdir("/tmp/lazy", 0755) == 0 && mount("it", "/tmp/lazy", "tmpfs", 0, 0) == 0);
  int fd = open("/tmp/lazy/file", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && write(fd, "kept", 4) == 4);
  CHECK(umount2("/tmp/lazy", MNT_DETACH) == 0);
  CHECK(close(open("/tmp/lazy/file", O_CREAT | O_RDWR, 0600)) == 0);
  moved();
  CHECK(pread(fd, got, 10, 0) == 4 && memcmp(got, "kept", 4) == 0);
  right();
}
