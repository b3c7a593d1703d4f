// What the OS instance has mounted is unmounted in the domain.
// refused: a mount of its own
#include "kind.h"
#include <sys/mount.h>

int main(void) {
  CHECK(umount2("/dev/pts", MNT_DETACH) == 0);
  moved();
  CHECK(access("/dev/pts/ptmx", F_OK) == -1);
  right();
}
