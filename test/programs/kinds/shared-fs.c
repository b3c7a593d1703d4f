// A working directory and a umask that a child shares with its parent; its descriptors are its own.
#include "kind.h"
#include <sched.h>
#include <sys/syscall.h>
#include <linux/sched.h>

static pid_t with(unsigned long flags, void (*work)(void)) {
  pid_t pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  CHECK(pid >= 0);
  if (pid == 0) {
    work();
    _exit(0);
  }
  return pid;
}

static int ask[2], answer[2];

// Told by a byte what to do; its parent looks what came of it.
static void obey(void) {
  char what;
  while (read(ask[0], &what, 1) == 1) {
    char said = 'y';
    if (what == 'o') CHECK(dup2(ask[0], 77) == 77);
    if (what == 'd') CHECK(chdir("/tmp") == 0);
    if (what == 'u') umask(0123);
    if (what == 'e') _exit(0);
    CHECK(write(answer[1], &said, 1) == 1);
  }
}

static void order(char what) {
  char said;
  CHECK(write(ask[1], &what, 1) == 1 && read(answer[0], &said, 1) == 1);
}

int main(void) {
  char cwd[64];
  CHECK(pipe(ask) == 0 && pipe(answer) == 0 && chdir("/") == 0);
  umask(022);
  pid_t pid = with(CLONE_FS, obey);
  moved();
  order('o');
  CHECK(fcntl(77, F_GETFD) == -1);
  order('d');
  CHECK(strcmp(getcwd(cwd, sizeof cwd), "/tmp") == 0);
  order('u');
  CHECK(umask(022) == 0123);
  CHECK(write(ask[1], "e", 1) == 1);
  ends_well(pid);
  right();
}
