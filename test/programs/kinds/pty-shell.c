// A shell on a terminal, as a terminal emulator has it: with a job in the background, and typed to after the move.
#include "kind.h"
#include <poll.h>
#include <sys/ioctl.h>

static int master;
static char all[65536];
static size_t length;

static void expect(const char *want) {
  for (int turn = 0; turn < 800; turn++) {
    char *found = strstr(all, want);
    if (found) {
      // What comes after it is looked at next.
      memmove(all, found + strlen(want), strlen(found + strlen(want)) + 1);
      length = strlen(all);
      return;
    }
    struct pollfd p = {master, POLLIN, 0};
    if (poll(&p, 1, 10) == 1) {
      ssize_t n = read(master, all + length, sizeof all - 1 - length);
      if (n > 0) length += n;
      all[length] = 0;
    }
  }
  for (char *c = all; *c; c++) if (*c == '\n' || *c == '\r') *c = ' ';
  printf("broken: no %s in %s\n", want, all);
  fflush(stdout);
  _exit(1);
}

static void type(const char *text) { CHECK(write(master, text, strlen(text)) == (ssize_t)strlen(text)); }

int main(void) {
  CHECK((master = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && unlockpt(master) == 0);
  struct winsize w = {.ws_row = 24, .ws_col = 80};
  CHECK(ioctl(master, TIOCSWINSZ, &w) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(setsid() == getpid());
    int fd = open(ptsname(master), O_RDWR);
    close(master);
    for (int i = 0; i < 3; i++) CHECK(dup2(fd, i) == i);
    if (fd > 2) close(fd);
    setenv("PS1", "$ ", 1);
    execl("/bin/busybox", "sh", "-i", (char *)0);
    execl("/bin/sh", "sh", "-i", (char *)0);
    _exit(1);
  }
  expect("$ ");
  type("sleep 1000 &\n");
  expect("$ ");
  type("X=kept\n");
  expect("$ ");
  type("sleep 2000\n");
  rest_ms(300);
  moved();
  // In the foreground: a key interrupts it, and the shell goes on.
  type("\003");
  expect("$ ");
  type("echo it is $X\n");
  expect("it is kept");
  type("jobs\n");
  expect("unning");
  type("fg\n");
  rest_ms(300);
  type("\032");
  expect("topped");
  type("kill %1; exit 7\n");
  type("exit 7\n");
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  right();
}
