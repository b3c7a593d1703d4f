// Names that really end in " (deleted)", of files that are there and of such that are gone.
#include "file.h"
#include <sys/mman.h>

#define DIR_ "/tmp/deleted-names (deleted)"

int main(void) {
  char got[16], cwd[64];
  own_folder(DIR_);
  int there = open(DIR_ "/there (deleted)", O_RDWR | O_CREAT, 0600);
  int gone = open(DIR_ "/gone (deleted)", O_RDWR | O_CREAT, 0600);
  int both = open(DIR_ "/both", O_RDWR | O_CREAT, 0600);
  int folder = open(DIR_, O_RDONLY | O_DIRECTORY);
  CHECK(there >= 0 && gone >= 0 && both >= 0 && folder >= 0);
  CHECK(write(there, "there", 5) == 5 && write(gone, "gone", 4) == 4 && write(both, "both", 4) == 4);
  char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, there, 0);
  CHECK(map != MAP_FAILED);
  CHECK(unlink(DIR_ "/gone (deleted)") == 0 && unlink(DIR_ "/both") == 0);
  int other = open(DIR_ "/both (deleted)", O_RDWR | O_CREAT, 0600);
  CHECK(other >= 0 && write(other, "other", 5) == 5);
  CHECK(chdir(DIR_) == 0);
  moved();
  CHECK(strcmp(link_of(there), DIR_ "/there (deleted)") == 0 && stat_of(there).st_nlink == 1);
  CHECK(strcmp(link_of(gone), DIR_ "/gone (deleted) (deleted)") == 0 && stat_of(gone).st_nlink == 0);
  CHECK(strcmp(link_of(both), DIR_ "/both (deleted)") == 0 && stat_of(both).st_nlink == 0);
  CHECK(strcmp(link_of(other), DIR_ "/both (deleted)") == 0 && stat_of(other).st_nlink == 1);
  CHECK(strcmp(link_of(folder), DIR_) == 0 && stat_of(folder).st_nlink == 2);
  CHECK(pread(there, got, 16, 0) == 5 && memcmp(got, "there", 5) == 0 && memcmp(map, "there", 5) == 0);
  CHECK(pread(gone, got, 16, 0) == 4 && memcmp(got, "gone", 4) == 0);
  CHECK(pread(both, got, 16, 0) == 4 && memcmp(got, "both", 4) == 0);
  CHECK(pread(other, got, 16, 0) == 5 && memcmp(got, "other", 5) == 0);
  map[0] = 'T';
  int again = open("there (deleted)", O_RDONLY);
  CHECK(again >= 0 && read(again, got, 16) == 5 && memcmp(got, "There", 5) == 0);
  CHECK(getcwd(cwd, sizeof cwd) && strcmp(cwd, DIR_) == 0);
  right();
}
