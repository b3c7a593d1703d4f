// Pseudoterminals in one process: numbers, settings, window sizes, packet mode, locks, owners, what waits in both directions.
#include "kind.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int other(int master) {
  CHECK(unlockpt(master) == 0);
  int fd = open(ptsname(master), O_RDWR | O_NOCTTY);
  CHECK(fd >= 0);
  return fd;
}

static void raw(int fd) {
  struct termios t;
  CHECK(tcgetattr(fd, &t) == 0);
  cfmakeraw(&t);
  CHECK(tcsetattr(fd, TCSANOW, &t) == 0);
}

static void gets_(int fd, const char *want) {
  char got[256];
  ssize_t n = read(fd, got, sizeof got);
  if (n != (ssize_t)strlen(want) || memcmp(got, want, n)) printf("broken: got %.*s\n", (int)n, got);
  CHECK(n == (ssize_t)strlen(want) && memcmp(got, want, n) == 0);
}

static void nothing(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  CHECK(poll(&p, 1, 50) == 0);
}

int main(void) {
  struct termios t;
  struct winsize w = {.ws_row = 33, .ws_col = 77};
  struct stat s;
  int yes = 1, n;
  int spare = posix_openpt(O_RDWR | O_NOCTTY), a = posix_openpt(O_RDWR | O_NOCTTY), gap = posix_openpt(O_RDWR | O_NOCTTY);
  int b = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), c = posix_openpt(O_RDWR | O_NOCTTY), locked;
  CHECK(spare >= 0 && a >= 0 && gap >= 0 && b >= 0 && c >= 0);
  CHECK(!strcmp(ptsname(spare), "/dev/pts/0") && !strcmp(ptsname(b), "/dev/pts/3"));
  int as = other(a), bs = other(b), cs = other(c);
  close(spare), close(gap);
  CHECK(ioctl(a, TIOCSWINSZ, &w) == 0);
  CHECK(tcgetattr(as, &t) == 0);
  t.c_cc[VERASE] = 'E', t.c_iflag |= IUTF8, t.c_oflag &= ~ONLCR, t.c_cflag |= CSTOPB;
  cfsetspeed(&t, B115200);
  CHECK(tcsetattr(as, TCSANOW, &t) == 0);
  CHECK(fcntl(as, F_SETFL, O_NONBLOCK) == 0 && fchown(as, 1000, 5) == 0 && fchmod(as, 0622) == 0);
  // Typed: two lines, and the beginning of a third; shown is what is echoed.
  CHECK(write(a, "one\ntwo\nthr", 11) == 11);
  raw(bs);
  CHECK(ioctl(b, TIOCPKT, &yes) == 0);
  CHECK(write(b, "ra\0w\n\4", 6) == 6 && write(bs, "shown\n", 6) == 6);
  raw(cs);
  CHECK(ioctl(cs, TIOCEXCL) == 0);
  unsigned char every[256], back[256];
  for (int i = 0; i < 256; i++) every[i] = i;
  CHECK(write(c, every, 256) == 256);
  locked = posix_openpt(O_RDWR | O_NOCTTY);
  rest_ms(100);
  struct pollfd p = {b, POLLPRI, 0};
  // What is told of packet mode itself is read before.
  while (poll(&p, 1, 0) == 1) CHECK(read(b, &n, 1) == 1);
  moved();
  CHECK(!strcmp(ptsname(a), "/dev/pts/1") && !strcmp(ptsname(b), "/dev/pts/3") && !strcmp(ptsname(c), "/dev/pts/4"));
  CHECK(fcntl(b, F_GETFD) == FD_CLOEXEC && fcntl(a, F_GETFD) == 0);
  memset(&w, 0, sizeof w);
  CHECK(ioctl(as, TIOCGWINSZ, &w) == 0 && w.ws_row == 33 && w.ws_col == 77);
  memset(&t, 0, sizeof t);
  CHECK(tcgetattr(as, &t) == 0 && t.c_cc[VERASE] == 'E' && (t.c_iflag & IUTF8) && !(t.c_oflag & ONLCR));
  CHECK((t.c_cflag & CSTOPB) && cfgetospeed(&t) == B115200 && (t.c_lflag & ICANON) && (t.c_lflag & ECHO));
  CHECK((fcntl(as, F_GETFL) & O_NONBLOCK) && !(fcntl(bs, F_GETFL) & O_NONBLOCK));
  CHECK(fstat(as, &s) == 0 && s.st_uid == 1000 && s.st_gid == 5 && (s.st_mode & 0777) == 0622);
  gets_(as, "one\n");
  gets_(as, "two\n");
  CHECK(read(as, &n, 1) == -1 && errno == EAGAIN);
  gets_(a, "one\ntwo\nthr");
  // The third line can still be corrected, and ended.
  CHECK(write(a, "Eee\n", 4) == 4);
  rest_ms(50);
  gets_(as, "thee\n");
  char got[16];
  CHECK(read(bs, got, sizeof got) == 6 && memcmp(got, "ra\0w\n\4", 6) == 0);
  CHECK(read(b, got, sizeof got) == 7 && memcmp(got, "\0shown\n", 7) == 0);
  CHECK(ioctl(b, TIOCGPKT, &n) == 0 && n == 1 && ioctl(a, TIOCGPKT, &n) == 0 && n == 0);
  CHECK(ioctl(cs, TIOCGEXCL, &n) == 0 && n == 1 && ioctl(as, TIOCGEXCL, &n) == 0 && n == 0);
  CHECK(ioctl(locked, TIOCGPTLCK, &n) == 0 && n == 1 && ioctl(a, TIOCGPTLCK, &n) == 0 && n == 0);
  CHECK(open(ptsname(locked), O_RDWR | O_NOCTTY) == -1 && errno == EIO);
  CHECK(read(cs, back, 256) == 256 && memcmp(back, every, 256) == 0);
  nothing(cs), nothing(c);
  close(as);
  CHECK(read(a, got, sizeof got) > 0);
  CHECK(read(a, got, sizeof got) == -1 && errno == EIO);
  right();
}
