// Terminals that one side has left: a master whose slave was closed, one that was never opened, a slave that is hung up.
#include "kind.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int has(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  poll(&p, 1, 0);
  return p.revents;
}

int main(void) {
  char got[16];
  int left = posix_openpt(O_RDWR | O_NOCTTY), fresh = posix_openpt(O_RDWR | O_NOCTTY), gone = posix_openpt(O_RDWR | O_NOCTTY);
  CHECK(unlockpt(left) == 0 && unlockpt(gone) == 0);
  int fd = open(ptsname(left), O_RDWR | O_NOCTTY), hung = open(ptsname(gone), O_RDWR | O_NOCTTY);
  CHECK(fd >= 0 && hung >= 0 && write(fd, "last", 4) == 4);
  close(fd), close(gone);
  CHECK((has(left) & POLLHUP) && !(has(fresh) & POLLHUP) && (has(hung) & POLLHUP));
  moved();
  CHECK((has(left) & POLLHUP) && !(has(fresh) & POLLHUP) && (has(hung) & POLLHUP));
  CHECK(read(left, got, sizeof got) == 4 && memcmp(got, "last", 4) == 0);
  CHECK(read(left, got, sizeof got) == -1 && errno == EIO);
  CHECK(read(hung, got, sizeof got) == 0 && write(hung, "x", 1) == -1 && errno == EIO);
  struct termios t;
  CHECK(tcgetattr(hung, &t) == -1 && errno == EIO);
  fd = open(ptsname(left), O_RDWR | O_NOCTTY);
  CHECK(fd >= 0 && write(fd, "more", 4) == 4 && read(left, got, sizeof got) == 4);
  right();
}
