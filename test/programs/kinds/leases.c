// Leases of files: for reading and for writing. Whoever opens the file after the move is told of by the signal.
#include "file.h"

#define DIR_ "/tmp/leases"
static volatile sig_atomic_t broken;
static void breaks(int signal, siginfo_t *info, void *context) { broken = info->si_fd; }

int main(void) {
  struct sigaction act = {.sa_sigaction = breaks, .sa_flags = SA_SIGINFO};
  own_folder(DIR_);
  CHECK(sigaction(SIGUSR1, &act, 0) == 0);
  int w = open(DIR_ "/write", O_RDWR | O_CREAT, 0600);
  CHECK(w >= 0 && write(w, "contents", 8) == 8);
  CHECK(close(open(DIR_ "/read", O_WRONLY | O_CREAT, 0600)) == 0);
  int r = open(DIR_ "/read", O_RDONLY);
  CHECK(r >= 0 && fcntl(w, F_SETLEASE, F_WRLCK) == 0 && fcntl(r, F_SETLEASE, F_RDLCK) == 0);
  CHECK(fcntl(w, F_SETSIG, SIGUSR1) == 0 && fcntl(r, F_SETSIG, SIGUSR1) == 0);
  moved();
  CHECK(broken == 0);
  CHECK(fcntl(w, F_GETLEASE) == F_WRLCK && fcntl(r, F_GETLEASE) == F_RDLCK);
  CHECK(open(DIR_ "/write", O_RDONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK && broken == w);
  CHECK(fcntl(w, F_GETLEASE) == F_RDLCK && fcntl(w, F_SETLEASE, F_UNLCK) == 0);
  broken = 0;
  int fd = open(DIR_ "/write", O_RDONLY | O_NONBLOCK);
  char got[16];
  CHECK(fd >= 0 && read(fd, got, 16) == 8 && memcmp(got, "contents", 8) == 0 && broken == 0);
  CHECK(open(DIR_ "/read", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK && broken == r);
  right();
}
