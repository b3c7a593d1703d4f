// A file that never had a name (O_TMPFILE): it can still be given one.
#include "file.h"

int main(void) {
  char path[64], got[16];
  unlink("/tmp/deleted-tmpfile");
  int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
  CHECK(fd >= 0 && write(fd, "nameless", 8) == 8);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int reader = open(path, O_RDONLY);
  CHECK(reader >= 0);
  int only = open("/tmp", O_TMPFILE | O_WRONLY | O_APPEND, 0600);
  CHECK(only >= 0 && write(only, "x", 1) == 1);
  int flags = fcntl(fd, F_GETFL), only_flags = fcntl(only, F_GETFL);
  struct stat before = stat_of(fd);
  moved();
  same_stat(before, stat_of(fd));
  CHECK(fcntl(fd, F_GETFL) == flags && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(only, F_GETFL) == only_flags);
  CHECK(stat_of(only).st_size == 1 && write(only, "y", 1) == 1 && stat_of(only).st_size == 2);
  CHECK(same_file(stat_of(fd), stat_of(reader)));
  CHECK(lseek(fd, 0, SEEK_CUR) == 8 && read(reader, got, sizeof got) == 8 && memcmp(got, "nameless", 8) == 0);
  CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "/tmp/deleted-tmpfile", AT_SYMLINK_FOLLOW) == 0);
  CHECK(stat_of(fd).st_nlink == 1);
  CHECK(unlink("/tmp/deleted-tmpfile") == 0);
  right();
}
