// A file that is open, of the shared root, whose name is not UTF-8.
// refused: a file name that is not UTF-8
#include "kind.h"

int main(void) {
  char got[4];
  int fd = open("/tmp/name-\xff\xfe", O_CREAT | O_RDWR, 0644);
  CHECK(fd >= 0 && write(fd, "odd", 3) == 3);
  moved();
  CHECK(pread(fd, got, 4, 0) == 3 && memcmp(got, "odd", 3) == 0 && unlink("/tmp/name-\xff\xfe") == 0);
  right();
}
