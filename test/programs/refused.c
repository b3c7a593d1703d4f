// Has one thing that cannot be moved, the one its argument names, and counts on.
#include "domain.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <signal.h>
#include <sys/wait.h>

static void *count(void *unused) {
  for (uint64_t turn = 0;; turn++) {
    turn_done(turn);
    rest_ms(50);
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "multipath")) CHECK(socket(AF_INET, SOCK_STREAM, 262) >= 0);
  // A parent whose child neither executes nor ends waits where no signal reaches it.
  if (!strcmp(what, "vfork")) { if (fork() == 0) { if (vfork() == 0) for (;;) pause(); _exit(0); } rest_ms(100); }
  if (!strcmp(what, "traced")) {
    pid_t c = fork();
    if (c == 0) for (;;) pause();
    CHECK(ptrace(PTRACE_SEIZE, c, 0, 0) == 0);
  }
  if (!strcmp(what, "leaderless")) { pthread_t t; CHECK(pthread_create(&t, 0, count, 0) == 0); pthread_exit(0); }
  if (!strcmp(what, "mapping") || !strcmp(what, "reading")) {
    int fd = open("/tmp/must-be-same", O_RDONLY);
    CHECK(fd >= 0);
    if (!strcmp(what, "mapping")) { CHECK(mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED); close(fd); }
  }
  count(0);
}
