// An open file that a mount covers: its name leads nowhere.
// refused: a file that a mount covers
#include "kind.h"
#include <sys/mount.h>

int main(void) {
  char got[10];
  CHECK(mkdir("/tmp/covered", 0755) == 0);
  int fd = open("/tmp/covered/file", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && write(fd, "kept", 4) == 4);
  CHECK(mount("above", "/tmp/covered", "tmpfs", 0, 0) == 0);
  moved();
  CHECK(access("/tmp/covered/file", F_OK) == -1 && pread(fd, got, 10, 0) == 4 && memcmp(got, "kept", 4) == 0);
  CHECK(umount("/tmp/covered") == 0 && access("/tmp/covered/file", F_OK) == 0);
  right();
}
