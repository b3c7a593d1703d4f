// signalfd: signals that wait, of the process and of a thread, read after the move; another mask later.
#include "kind.h"
#include <sys/signalfd.h>
int main(void) {
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN + 3);
  CHECK(sigprocmask(SIG_BLOCK, &set, 0) == 0);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  union sigval v = {.sival_int = 4711};
  CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0 && kill(getpid(), SIGUSR1) == 0);
  v.sival_int = 4712;
  CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0);
  moved();
  struct signalfd_siginfo s;
  CHECK(read(fd, &s, sizeof s) == sizeof s && s.ssi_signo == SIGUSR1 && (int)s.ssi_pid == getpid());
  CHECK(read(fd, &s, sizeof s) == sizeof s && (int)s.ssi_signo == SIGRTMIN + 3 && s.ssi_int == 4711);
  CHECK(read(fd, &s, sizeof s) == sizeof s && s.ssi_int == 4712 && read(fd, &s, sizeof s) == -1 && errno == EAGAIN);
  sigdelset(&set, SIGUSR1);
  CHECK(signalfd(fd, &set, 0) == fd && kill(getpid(), SIGUSR1) == 0 && read(fd, &s, sizeof s) == -1);
  CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  right();
}
