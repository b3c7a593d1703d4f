// A file of the domain's own layer that nobody may change.
// layer: yes
// refused: ^a file that is immutable or append-only, in a layer$
#include "kind.h"
#include <linux/fs.h>
#include <sys/ioctl.h>

int main(void) {
  int flags = FS_IMMUTABLE_FL, fd = open("/tmp/fixed", O_CREAT | O_RDWR, 0644);
  CHECK(fd >= 0 && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
  moved();
  CHECK(ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags == FS_IMMUTABLE_FL);
  right();
}
