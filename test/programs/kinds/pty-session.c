// A session on a terminal: its leader, jobs in the foreground and in the background, one that gave the terminal up.
// hops: 4
#include "kind.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master;
static volatile sig_atomic_t got;
static void note(int signal) { got = signal; }

// Says on the terminal what it is asked for, by a line of its own.
static void say(const char *what) {
  CHECK(write(1, what, strlen(what)) == (ssize_t)strlen(what));
}

static volatile sig_atomic_t asked;
static void ask_me(int signal) { asked = 1; }

static void job(int foreground) {
  char line[64];
  int tty = open("/dev/tty", O_RDWR);
  CHECK(tty >= 0);
  signal(SIGUSR1, ask_me);
  signal(SIGINT, note);
  signal(SIGHUP, note);
  signal(SIGWINCH, note);
  say(foreground ? "job 1\n" : "job 0\n");
  sigset_t none, usr;
  sigemptyset(&none), sigemptyset(&usr), sigaddset(&usr, SIGUSR1);
  sigprocmask(SIG_BLOCK, &usr, 0);
  while (!asked) sigsuspend(&none);
  // Nobody told it anything but this.
  int fd = open("/dev/tty", O_RDWR);
  pid_t group = tcgetpgrp(fd);
  CHECK(group > 0 && (group == getpgrp()) == foreground && tcgetsid(tty) == getsid(0));
  snprintf(line, sizeof line, "%s %d\n", foreground ? "front" : "back", got == 0);
  say(line);
  while (got == 0) rest_ms(5);
  snprintf(line, sizeof line, "%s signal %d\n", foreground ? "front" : "back", (int)got);
  say(line);
  for (;;) pause();
}

static pid_t jobs[3];
static void start(int i, int foreground) {
  jobs[i] = fork();
  CHECK(jobs[i] >= 0);
  if (jobs[i] == 0) {
    CHECK(setpgid(0, 0) == 0);
    job(foreground);
  }
  setpgid(jobs[i], jobs[i]);
}

static int report[2];
static void leader(void) {
  CHECK(setsid() == getpid());
  int fd = open(ptsname(master), O_RDWR);
  CHECK(fd >= 0 && tcgetsid(fd) == getpid());
  close(master);
  CHECK(dup2(fd, 0) == 0 && dup2(fd, 1) == 1);
  if (fd > 1) close(fd);
  signal(SIGTTOU, SIG_IGN);
  signal(SIGHUP, note);
  start(0, 1), start(1, 0);
  jobs[2] = fork();
  if (jobs[2] == 0) {
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0 && ioctl(tty, TIOCNOTTY) == 0);
    close(tty);
    signal(SIGUSR1, ask_me);
    say("none\n");
    while (!asked) rest_ms(5);
    CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
    say("still none\n");
    for (;;) pause();
  }
  CHECK(tcsetpgrp(0, jobs[0]) == 0);
  CHECK(write(report[1], jobs, sizeof jobs) == sizeof jobs);
  for (;;) pause();
}

static void expect(const char *want) {
  static char all[4096];
  static size_t length;
  for (int turn = 0; turn < 600; turn++) {
    if (strstr(all, want)) return;
    struct pollfd p = {master, POLLIN, 0};
    if (poll(&p, 1, 5) == 1 && length < sizeof all - 1) {
      ssize_t n = read(master, all + length, sizeof all - 1 - length);
      if (n > 0) length += n;
    }
  }
  printf("broken: no %s in %s\n", want, all);
  fflush(stdout);
  _exit(1);
}

int main(void) {
  CHECK((master = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && unlockpt(master) == 0 && pipe(report) == 0);
  struct winsize w = {.ws_row = 24, .ws_col = 80};
  CHECK(ioctl(master, TIOCSWINSZ, &w) == 0);
  pid_t pid = child(leader);
  CHECK(read(report[0], jobs, sizeof jobs) == sizeof jobs);
  expect("job 0\r\n");
  expect("job 1\r\n");
  expect("none\r\n");
  moved();
  pid_t group, session;
  CHECK(ioctl(master, TIOCGPGRP, &group) == 0 && group == jobs[0]);
  CHECK(ioctl(master, TIOCGSID, &session) == 0 && session == pid);
  for (int i = 0; i < 3; i++) kill(jobs[i], SIGUSR1);
  expect("front 1");
  expect("back 1");
  expect("still none");
  // The interrupt key reaches the foreground, and it alone.
  CHECK(write(master, "\3", 1) == 1);
  expect("front signal 2");
  close(master);
  int status;
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid);
  for (int i = 0; i < 3; i++) kill(jobs[i], SIGKILL);
  right();
}
