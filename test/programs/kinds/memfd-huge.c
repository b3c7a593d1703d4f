// refused: hugetlbfs
// A memfd of huge pages.
#include "kind.h"
#include <sys/mman.h>
int main(void) {
  FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
  CHECK(f && fputs("2", f) > 0 && fclose(f) == 0);
  int fd = memfd_create("huge", MFD_HUGETLB);
  CHECK(fd >= 0 && ftruncate(fd, 2 << 20) == 0);
  moved();
  CHECK(close(fd) == 0);
  f = fopen("/proc/sys/vm/nr_hugepages", "w");
  CHECK(f && fputs("0", f) > 0 && fclose(f) == 0);
  right();
}
