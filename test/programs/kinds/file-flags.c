// Files and a folder of a tmpfs that nobody may change, or only at the end, and one that is not to be dumped; open and closed.
// hops: 2
#include "text.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#define AT "/mnt/flags"

static void flag(const char *path, int flags) {
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0 && close(fd) == 0);
}

static int flags_of(const char *path) {
  int flags = -1, fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && close(fd) == 0);
  return flags;
}

int main(void) {
  struct stat s;
  mkdir("/mnt", 0755);
  mkdir(AT, 0755);
  CHECK(mount("flags", AT, "tmpfs", 0, 0) == 0 && mkdir(AT "/folder", 0755) == 0);
  put_with_mode(AT "/folder/in", "in", 0644);
  put_with_mode(AT "/log", "log", 0644);
  put_with_mode(AT "/plain", "plain", 0644);
  int fd = open(AT "/fixed", O_CREAT | O_RDWR, 0644), large = open(AT "/large", O_CREAT | O_RDWR, 0644);
  CHECK(fd >= 0 && large >= 0 && write(fd, "fixed", 5) == 5);
  for (int i = 0; i < 300; i++) { char block[1024]; memset(block, i, sizeof block); CHECK(write(large, block, sizeof block) == sizeof block); }
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  CHECK(utimensat(AT_FDCWD, AT "/fixed", times, 0) == 0);
  flag(AT "/fixed", FS_IMMUTABLE_FL);
  flag(AT "/large", FS_IMMUTABLE_FL);
  flag(AT "/folder", FS_IMMUTABLE_FL);
  flag(AT "/log", FS_APPEND_FL);
  flag(AT "/plain", FS_NODUMP_FL);
  moved();
  CHECK(flags_of(AT "/fixed") == FS_IMMUTABLE_FL && flags_of(AT "/folder") == FS_IMMUTABLE_FL);
  CHECK(flags_of(AT "/log") == FS_APPEND_FL && flags_of(AT "/plain") == FS_NODUMP_FL && flags_of(AT "/folder/in") == 0);
  CHECK(flags_of(AT "/large") == FS_IMMUTABLE_FL);
  CHECK(unlink(AT "/folder/in") == -1 && open(AT "/fixed", O_WRONLY) == -1 && open(AT "/log", O_WRONLY) == -1);
  CHECK(fstat(fd, &s) == 0 && s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 7);
  holds(AT "/fixed", "fixed");
  holds(AT "/log", "log");
  for (int i = 0; i < 300; i++) { char block[1024]; CHECK(pread(large, block, sizeof block, i * 1024) == sizeof block && block[0] == (char)i && block[1023] == (char)i); }
  CHECK(pwrite(fd, "F", 1, 0) == 1);
  holds(AT "/fixed", "Fixed");
  right();
}
