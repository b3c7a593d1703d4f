// Descriptors that are only a place (O_PATH), of a file, a folder, a link, a socket file; devices by other names; flags.
#include "file.h"
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define DIR_ "/tmp/places"

int main(void) {
  char got[64];
  own_folder(DIR_);
  CHECK(symlink("nowhere", DIR_ "/link") == 0);
  CHECK(mknod(DIR_ "/full", S_IFCHR | 0606, makedev(1, 7)) == 0);
  CHECK(mknod(DIR_ "/block", S_IFBLK | 0600, makedev(7, 99)) == 0);
  CHECK(mknod(DIR_ "/socket", S_IFSOCK | 0600, 0) == 0);
  int link = open(DIR_ "/link", O_PATH | O_NOFOLLOW | O_CLOEXEC), folder = open("/usr", O_PATH | O_DIRECTORY);
  int block = open(DIR_ "/block", O_PATH), socket = open(DIR_ "/socket", O_PATH), null = open("/dev/null", O_PATH);
  int full = open(DIR_ "/full", O_RDWR), random = open("/dev/urandom", O_RDONLY);
  int file = open("/proc/self/exe", O_PATH);
  CHECK(link >= 0 && folder >= 0 && block >= 0 && socket >= 0 && null >= 0 && full >= 0 && random >= 0 && file >= 0);
  int direct = open(DIR_ "/direct", O_RDWR | O_CREAT | O_DIRECT | O_NOFOLLOW, 0600);
  if (direct < 0) direct = open(DIR_ "/direct", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  int quiet = open(DIR_ "/direct", O_WRONLY | O_NOATIME | O_APPEND | O_SYNC | O_NONBLOCK);
  CHECK(direct >= 0 && quiet >= 0);
  int fds[] = {link, folder, block, socket, null, full, random, direct, quiet, file}, flags[10];
  struct stat before[10];
  for (int i = 0; i < 10; i++) flags[i] = fcntl(fds[i], F_GETFL), before[i] = stat_of(fds[i]);
  moved();
  for (int i = 0; i < 10; i++) {
    struct stat now = stat_of(fds[i]);
    CHECK(fcntl(fds[i], F_GETFL) == flags[i]);
    CHECK(now.st_mode == before[i].st_mode && now.st_rdev == before[i].st_rdev);
  }
  CHECK(fcntl(link, F_GETFD) == FD_CLOEXEC);
  CHECK(readlinkat(link, "", got, sizeof got) == 7 && memcmp(got, "nowhere", 7) == 0);
  CHECK(read(link, got, 1) == -1 && errno == EBADF);
  CHECK(strcmp(link_of(folder), "/usr") == 0 && faccessat(folder, "bin", F_OK, 0) == 0);
  CHECK(write(full, "x", 1) == -1 && errno == ENOSPC);
  CHECK(read(random, got, sizeof got) == sizeof got);
  right();
}
