// Files that are written: sparse and long ones, with owner, times, attributes and other names, appended to; two names of one
// file that are both open.
#include "file.h"
#include <sys/xattr.h>

#define DIR_ "/tmp/open-flags"
#define GIB (1L << 30)

int main(void) {
  char got[64];
  own_folder(DIR_);
  CHECK(chmod(DIR_, 01777) == 0 && chown(DIR_, 7, 8) == 0);
  int sparse = open(DIR_ "/sparse", O_RDWR | O_CREAT, 0600), log = open(DIR_ "/log", O_WRONLY | O_CREAT | O_APPEND, 02755);
  int a = open(DIR_ "/a", O_RDWR | O_CREAT, 0644), none = open(DIR_ "/none", O_WRONLY | O_CREAT, 0);
  CHECK(sparse >= 0 && log >= 0 && a >= 0 && none >= 0);
  CHECK(pwrite(sparse, "start", 5, 0) == 5 && pwrite(sparse, "far", 3, 3 * GIB) == 3 && ftruncate(sparse, 4 * GIB) == 0);
  CHECK(lseek(sparse, 3 * GIB, SEEK_SET) == 3 * GIB);
  CHECK(write(log, "one\n", 4) == 4 && fchown(log, 1000, 1001) == 0 && fchmod(log, 06755) == 0);
  int attr = fsetxattr(log, "trusted.mine", "value", 5, 0);
  CHECK(link(DIR_ "/a", DIR_ "/b") == 0 && link(DIR_ "/a", DIR_ "/c") == 0);
  int b = open(DIR_ "/b", O_RDONLY);
  CHECK(b >= 0 && write(a, "linked", 6) == 6 && unlink(DIR_ "/a") == 0);
  struct timespec times[2] = {{1234567890, 1}, {987654321, 999999999}};
  CHECK(futimens(log, times) == 0 && futimens(sparse, times) == 0 && futimens(a, times) == 0);
  struct stat s = stat_of(sparse), l = stat_of(log), h = stat_of(a), n = stat_of(none), there, folder;
  moved();
  same_stat(s, stat_of(sparse));
  same_stat(l, stat_of(log));
  same_stat(h, stat_of(a));
  same_stat(n, stat_of(none));
  CHECK(stat(DIR_, &folder) == 0 && folder.st_uid == 7 && folder.st_gid == 8 && folder.st_mode == (S_IFDIR | 01777));
  CHECK(lseek(sparse, 0, SEEK_CUR) == 3 * GIB && read(sparse, got, 3) == 3 && memcmp(got, "far", 3) == 0);
  CHECK(lseek(sparse, 0, SEEK_HOLE) == 4096 && lseek(sparse, 4096, SEEK_DATA) == 3 * GIB);
  CHECK(attr != 0 || (fgetxattr(log, "trusted.mine", got, sizeof got) == 5 && memcmp(got, "value", 5) == 0));
  CHECK(lseek(log, 0, SEEK_SET) == 0 && write(log, "two\n", 4) == 4 && stat_of(log).st_size == 8);
  CHECK(same_file(stat_of(a), stat_of(b)) && stat_of(a).st_nlink == 2);
  CHECK(stat(DIR_ "/c", &there) == 0 && same_file(there, stat_of(a)));
  CHECK(pwrite(a, "L", 1, 0) == 1 && read(b, got, 16) == 6 && memcmp(got, "Linked", 6) == 0);
  right();
}
