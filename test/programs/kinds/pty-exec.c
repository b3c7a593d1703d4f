// A program at a terminal that executes another there when it has moved: no descriptor of the terminal is one that closes then, and
// the last that is written before the end arrives.
// hops: 4
#include "kind.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(int argc, char **argv) {
  if (argc > 1) {
    // Who was executed.
    for (int i = 0; i < 3; i++) {
      CHECK(isatty(i) && fcntl(i, F_GETFD) == 0 && (fcntl(i, F_GETFL) & (O_CLOEXEC | O_ACCMODE)) == O_RDWR);
    }
    CHECK(tcgetsid(0) == getpid());
    char text[3001];
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 6, "last.\n", 6);
    CHECK(write(1, text, sizeof text) == sizeof text);
    return 7;
  }
  int master;
  CHECK((master = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && unlockpt(master) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(setsid() == getpid());
    int fd = open(ptsname(master), O_RDWR);
    CHECK(fd >= 0);
    close(master);
    struct termios t;
    CHECK(tcgetattr(fd, &t) == 0);
    t.c_oflag &= ~OPOST;
    t.c_lflag &= ~ECHO;
    CHECK(tcsetattr(fd, TCSANOW, &t) == 0);
    for (int i = 0; i < 3; i++) CHECK(dup2(fd, i) == i);
    if (fd > 2) close(fd);
    CHECK(write(1, "r", 1) == 1);
    char c;
    while (read(0, &c, 1) < 0) {}
    execl("/proc/self/exe", "executed", "yes", (char *)0);
    _exit(1);
  }
  char all[8192];
  CHECK(read(master, all, 1) == 1);
  moved();
  CHECK(write(master, "\n", 1) == 1);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  // It has ended, and all that it wrote is there.
  size_t length = 0;
  for (ssize_t n; length < sizeof all && (n = read(master, all + length, sizeof all - length)) > 0;) length += n;
  CHECK(errno == EIO && length == 3001 && memcmp(all + length - 6, "last.\n", 6) == 0);
  right();
}
