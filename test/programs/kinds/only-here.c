// Files that the program has made and now only reads or maps: they go along each time.
// hops: 4
#include "file.h"
#include <sys/mman.h>

#define DIR_ "/tmp/only-here"

int main(void) {
  char got[16];
  own_folder(DIR_);
  int fd = open(DIR_ "/read", O_WRONLY | O_CREAT, 0640), other = open(DIR_ "/map", O_WRONLY | O_CREAT, 0600);
  CHECK(fd >= 0 && other >= 0 && write(fd, "reading", 7) == 7 && write(other, "mapping", 7) == 7);
  CHECK(close(fd) == 0 && close(other) == 0);
  fd = open(DIR_ "/read", O_RDONLY), other = open(DIR_ "/map", O_RDONLY);
  CHECK(fd >= 0 && other >= 0 && read(fd, got, 4) == 4);
  char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, other, 0);
  CHECK(map != MAP_FAILED && close(other) == 0 && mkdir(DIR_ "/empty", 0701) == 0);
  int folder = open(DIR_ "/empty", O_RDONLY | O_DIRECTORY);
  CHECK(folder >= 0);
  struct stat before = stat_of(fd), f = stat_of(folder);
  moved();
  same_stat(before, stat_of(fd));
  same_stat(f, stat_of(folder));
  CHECK(read(fd, got, 16) == 3 && memcmp(got, "ing", 3) == 0 && memcmp(map, "mapping", 7) == 0);
  right();
}
