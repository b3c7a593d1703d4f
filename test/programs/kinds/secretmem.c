// refused: secret memory
// Memory that the kernel itself cannot see.
#include "kind.h"
#include <sys/mman.h>
#include <sys/syscall.h>
int main(void) {
  int fd = syscall(SYS_memfd_secret, 0);
  CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
  char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(p != MAP_FAILED);
  close(fd);
  strcpy(p, "secret");
  moved();
  CHECK(!strcmp(p, "secret"));
  right();
}
