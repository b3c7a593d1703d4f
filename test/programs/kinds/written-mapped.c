// A file that the program has written and closed, and has mapped: it does not exist in the other system.
#include "kind.h"
#include <sys/mman.h>

int main(void) {
  int fd = open("/tmp/written-mapped", O_RDWR | O_CREAT, 0600);
  CHECK(write(fd, "xyz", 3) == 3);
  char *seen = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  char *written = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(seen != MAP_FAILED && written != MAP_FAILED && close(fd) == 0);
  CHECK((fd = open("/tmp/written-mapped-only", O_WRONLY | O_CREAT, 0600)) >= 0 && write(fd, "read", 4) == 4 && close(fd) == 0);
  CHECK((fd = open("/tmp/written-mapped-only", O_RDONLY)) >= 0);
  moved();
  char got[10];
  CHECK(read(fd, got, 10) == 4 && memcmp(got, "read", 4) == 0);
  CHECK(seen[2] == 'z' && written[0] == 'x');
  written[1] = 'Y';
  CHECK(seen[1] == 'Y');
  right();
}
