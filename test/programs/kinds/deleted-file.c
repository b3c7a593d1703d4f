// A deleted file: its contents, what fstat and /proc tell of it, several descriptions and processes of it; and one that was
// replaced by another at the same path.
#include "file.h"

#define DIR_ "/tmp/deleted-file"

static int shared, go[2];
static void use(void) {
  char c;
  CHECK(read(go[0], &c, 1) == 1);
  CHECK(write(shared, "child", 5) == 5);
}

int main(void) {
  char got[64];
  own_folder(DIR_);
  int fd = open(DIR_ "/a", O_RDWR | O_CREAT | O_EXCL, 0640);
  CHECK(fd >= 0 && fchown(fd, 12, 34) == 0 && fchmod(fd, 0604) == 0);
  CHECK(write(fd, "0123456789", 10) == 10);
  int reader = open(DIR_ "/a", O_RDONLY | O_CLOEXEC), appender = open(DIR_ "/a", O_WRONLY | O_APPEND);
  CHECK(reader >= 0 && appender >= 0 && lseek(reader, 3, SEEK_SET) == 3);
  CHECK(unlink(DIR_ "/a") == 0);
  shared = open(DIR_ "/shared", O_RDWR | O_CREAT, 0600);
  CHECK(shared >= 0 && write(shared, "first", 5) == 5 && unlink(DIR_ "/shared") == 0);
  // Nothing in it, and never anything written.
  int empty = open(DIR_ "/empty", O_RDWR | O_CREAT, 0400);
  CHECK(empty >= 0 && unlink(DIR_ "/empty") == 0);
  int old = open(DIR_ "/replaced", O_RDWR | O_CREAT, 0600);
  CHECK(old >= 0 && write(old, "old", 3) == 3 && unlink(DIR_ "/replaced") == 0);
  int new = open(DIR_ "/replaced", O_RDWR | O_CREAT, 0600);
  CHECK(new >= 0 && write(new, "newer", 5) == 5);
  // Two deleted files that had the same name.
  int again = open(DIR_ "/a", O_RDWR | O_CREAT, 0600);
  CHECK(again >= 0 && write(again, "again", 5) == 5 && unlink(DIR_ "/a") == 0);
  struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
  CHECK(futimens(fd, times) == 0);
  struct stat before = stat_of(fd);
  CHECK(before.st_nlink == 0);

  CHECK(pipe(go) == 0);
  pid_t pid = child(use);
  moved();
  same_stat(before, stat_of(fd));
  CHECK(strcmp(link_of(fd), DIR_ "/a (deleted)") == 0);
  CHECK(same_file(stat_of(fd), stat_of(reader)) && same_file(stat_of(fd), stat_of(appender)));
  CHECK(!same_file(stat_of(fd), stat_of(again)) && strcmp(link_of(again), DIR_ "/a (deleted)") == 0);
  CHECK(access(DIR_ "/a", F_OK) == -1 && access(DIR_ "/empty", F_OK) == -1);
  CHECK(lseek(fd, 0, SEEK_CUR) == 10);
  CHECK(read(reader, got, sizeof got) == 7 && memcmp(got, "3456789", 7) == 0);
  CHECK(fcntl(reader, F_GETFD) == FD_CLOEXEC && (fcntl(reader, F_GETFL) & O_ACCMODE) == O_RDONLY);
  CHECK(write(appender, "ab", 2) == 2);
  CHECK(pread(fd, got, sizeof got, 0) == 12 && memcmp(got, "0123456789ab", 12) == 0);
  CHECK(pread(again, got, sizeof got, 0) == 5 && memcmp(got, "again", 5) == 0);
  CHECK(stat_of(empty).st_size == 0 && stat_of(empty).st_mode == (S_IFREG | 0400) && stat_of(empty).st_nlink == 0);
  CHECK(pwrite(empty, "x", 1, 0) == 1);

  CHECK(write(go[1], "x", 1) == 1);
  ends_well(pid);
  CHECK(lseek(shared, 0, SEEK_CUR) == 10 && pread(shared, got, sizeof got, 0) == 10 && memcmp(got, "firstchild", 10) == 0);

  CHECK(pread(old, got, sizeof got, 0) == 3 && memcmp(got, "old", 3) == 0);
  CHECK(pread(new, got, sizeof got, 0) == 5 && memcmp(got, "newer", 5) == 0);
  struct stat there;
  CHECK(stat(DIR_ "/replaced", &there) == 0 && same_file(there, stat_of(new)) && !same_file(there, stat_of(old)));
  CHECK(stat_of(old).st_nlink == 0 && stat_of(new).st_nlink == 1);
  CHECK(strcmp(link_of(old), DIR_ "/replaced (deleted)") == 0 && strcmp(link_of(new), DIR_ "/replaced") == 0);
  right();
}
