// What the OS instance has mounted is unmounted in the domain, and mounted in another way.
#include "kind.h"
#include <sys/mount.h>
#include <sys/statvfs.h>

int main(void) {
  struct statvfs v;
  CHECK(umount2("/dev/pts", MNT_DETACH) == 0);
  CHECK(mount(0, "/sys", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC, 0) == 0);
  moved();
  CHECK(statvfs("/sys", &v) == 0 && (v.f_flag & ST_RDONLY) && (v.f_flag & ST_NOEXEC) && !(v.f_flag & ST_NOSUID));
  CHECK(access("/dev/pts/ptmx", F_OK) == -1);
  right();
}
