// A file that lost the name it was opened by, but has others: it is the file that they lead to.
#include "file.h"

#define DIR_ "/tmp/deleted-linked"

int main(void) {
  char got[16];
  struct stat there;
  own_folder(DIR_);
  own_folder(DIR_ "/below");
  int fd = open(DIR_ "/first", O_RDWR | O_CREAT, 0644);
  CHECK(fd >= 0 && write(fd, "content", 7) == 7);
  CHECK(link(DIR_ "/first", DIR_ "/below/second") == 0 && link(DIR_ "/first", DIR_ "/third") == 0);
  int reader = open(DIR_ "/first", O_RDONLY);
  CHECK(reader >= 0 && unlink(DIR_ "/first") == 0);
  struct stat before = stat_of(fd);
  moved();
  same_stat(before, stat_of(fd));
  CHECK(stat_of(fd).st_nlink == 2 && same_file(stat_of(reader), stat_of(fd)));
  CHECK(strcmp(link_of(fd), DIR_ "/first (deleted)") == 0 && access(DIR_ "/first", F_OK) == -1);
  CHECK(stat(DIR_ "/below/second", &there) == 0 && same_file(there, stat_of(fd)));
  CHECK(stat(DIR_ "/third", &there) == 0 && same_file(there, stat_of(fd)));
  CHECK(read(reader, got, 16) == 7 && memcmp(got, "content", 7) == 0);
  CHECK(write(fd, "+", 1) == 1);
  int other = open(DIR_ "/third", O_RDONLY);
  CHECK(other >= 0 && read(other, got, 16) == 8 && memcmp(got, "content+", 8) == 0);
  right();
}
