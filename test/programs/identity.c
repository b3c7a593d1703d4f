// Who a process is: user, groups and capabilities, sessions and process groups, limits, niceness, name, a dead
// child that nobody has asked about yet.
#include "domain.h"
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct roster { pid_t self, parent, group, session; };
static struct roster look(void) { return (struct roster){getpid(), getppid(), getpgid(0), getsid(0)}; }

static void same(struct roster a) {
  struct roster b = look();
  CHECK(a.self == b.self && a.parent == b.parent && a.group == b.group && a.session == b.session);
}

static void drop(uid_t user) {
  gid_t groups[] = {2000, 2001, 2002};
  CHECK(setgroups(3, groups) == 0 && setresgid(user + 1, user + 2, user + 3) == 0);
  CHECK(setresuid(user, user, user) == 0);
}

static void verify(uid_t user) {
  uid_t r, e, s;
  gid_t g[8];
  CHECK(getresuid(&r, &e, &s) == 0 && r == user && e == user && s == user);
  CHECK(getresgid(&r, &e, &s) == 0 && r == user + 1 && e == user + 2 && s == user + 3);
  CHECK(getgroups(8, g) == 3 && g[2] == 2002);
  CHECK(setuid(0) < 0);
}

int main(void) {
  CHECK(getsid(0) == getpid());
  pid_t team[4];
  int fd[2];
  CHECK(pipe(fd) == 0);
  for (int i = 0; i < 4; i++) {
    team[i] = fork();
    if (team[i] == 0) {
      // 0: a group of its own; 1: in that group; 2: a session of its own, with a child; 3: nothing special
      if (i == 0) CHECK(setpgid(0, 0) == 0);
      if (i == 1) while (setpgid(0, team[0]) < 0) rest_ms(1);
      if (i == 2) CHECK(setsid() > 0);
      if (i == 2 && fork() == 0) CHECK(setpgid(0, 0) == 0);
      struct rlimit files = {50 + i, 60 + i};
      CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
      CHECK(prctl(PR_SET_NAME, "teammate") == 0);
      CHECK(setpriority(PRIO_PROCESS, 0, i) == 0);
      if (i == 3) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      drop(3000 + 10 * i);
      struct roster me = look();
      for (uint64_t n = 0;; n++) {
        rest_ms(20);
        same(me);
        verify(3000 + 10 * i);
        struct rlimit l;
        CHECK(getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur == 50u + i && l.rlim_max == 60u + i);
        char name[16];
        CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "teammate") == 0);
        CHECK(getpriority(PRIO_PROCESS, 0) == i);
        CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == (i == 3));
        if (n == 3) CHECK(write(fd[1], &me, sizeof me) == sizeof me);
      }
    }
  }
  // The leader of a group has died, but the group lives on in another.
  pid_t leader = fork();
  if (leader == 0) {
    setpgid(0, 0);
    pid_t member = fork();
    if (member == 0) {
      struct roster me = look();
      char word = 1;
      for (;; rest_ms(20)) {
        pid_t group = getpgid(0);
        CHECK(group == me.group && group != getpid());
        if (word) { word = 0; struct roster out = {getpid(), 0, group, getsid(0)}; CHECK(write(fd[1], &out, sizeof out) == sizeof out); }
      }
    }
    _exit(0);
  }
  CHECK(waitpid(leader, 0, 0) == leader);
  // Two dead children wait to be buried: one ended, one was killed.
  pid_t ended = fork();
  if (ended == 0) _exit(77);
  pid_t killed = fork();
  if (killed == 0) for (;;) pause();
  kill(killed, SIGTERM);
  siginfo_t info;
  CHECK(waitid(P_PID, ended, &info, WEXITED | WNOWAIT) == 0 && waitid(P_PID, killed, &info, WEXITED | WNOWAIT) == 0);
  struct roster r;
  for (int i = 0; i < 6; i++) CHECK(read(fd[0], &r, sizeof r) == sizeof r);
  struct roster me = look();
  CHECK(setregid(5, 6) == 0 && seteuid(1234) == 0);
  for (uint64_t turn = 0;; turn++) {
    rest_ms(50);
    same(me);
    CHECK(getuid() == 0 && geteuid() == 1234 && getgid() == 5 && getegid() == 6);
    CHECK(getpgid(team[1]) == team[0] && getsid(team[2]) == team[2]);
    CHECK(waitid(P_PID, ended, &info, WEXITED | WNOWAIT) == 0 && info.si_status == 77 && info.si_code == CLD_EXITED);
    CHECK(waitid(P_PID, killed, &info, WEXITED | WNOWAIT) == 0 && info.si_status == SIGTERM && info.si_code == CLD_KILLED);
    for (int i = 0; i < 4; i++) CHECK(waitid(P_PID, team[i], &info, WEXITED | WNOWAIT | WNOHANG) == 0);
    turn_done(turn);
  }
}
