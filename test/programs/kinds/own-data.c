// A folder of the domain's own, on the root that it shares: files that are closed go along.
// data: /var/own/data
#include "kind.h"

int main(void) {
  char got[100];
  int fd = open("/var/own/data/file", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && write(fd, "kept", 4) == 4 && close(fd) == 0);
  CHECK(mkdir("/var/own/data/folder", 0711) == 0 && symlink("file", "/var/own/data/link") == 0);
  moved();
  struct stat s;
  CHECK((fd = open("/var/own/data/link", O_RDONLY)) >= 0 && read(fd, got, 100) == 4 && memcmp(got, "kept", 4) == 0);
  CHECK(stat("/var/own/data/folder", &s) == 0 && (s.st_mode & 07777) == 0711);
  right();
}
