// Families with a past: sessions and process groups whose leaders are gone or are zombies, orphans that came to the first process
// or to a subreaper, a child whose end sends another signal than SIGCHLD, or none. All have the ids and parents that they had.
// fails: files
#include "kind.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct seen { pid_t pid, parent, group, session; };
static struct seen *all;
static volatile int *count;

static void note(struct seen *s) { *s = (struct seen){getpid(), getppid(), getpgrp(), getsid(0)}; }
// Waits until it is told, and is then in the very place it was.
static void stays(void) {
  int i = __sync_fetch_and_add(count, 1);
  struct seen now;
  rest_ms(150);
  note(&all[i]);
  all[i + 100].pid = 1;
  until_told(0);
  note(&now);
  CHECK(memcmp(&now, &all[i], sizeof now) == 0);
}
static pid_t leave(void (*work)(void)) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) { work(); _exit(0); }
  return pid;
}
static void in_group(void) { CHECK(setpgid(0, 0) == 0); stays(); }
// A session whose leader is gone, with two of it left behind, one of them in a group of its own, and one with a child.
static void with_child(void) { pid_t c = child(stays); stays(); kill(c, SIGTERM); ends_well(c); }
static void leaderless(void) { CHECK(setsid() > 0); leave(stays); leave(in_group); leave(with_child); _exit(0); }
// The same below a subreaper of its own session.
static void waits_for(int n) {
  int status;
  for (int i = 0; i < n; i++) CHECK(waitpid(-1, &status, __WALL) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
static void reaper(void) {
  CHECK(setsid() > 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  pid_t p = leave(leaderless);
  CHECK(waitpid(p, 0, 0) == p);
  stays();
  int is = 0;
  CHECK(prctl(PR_GET_CHILD_SUBREAPER, &is) == 0 && is == 1);
  waits_for(3);
}
// An orphan in the session of one that lives and has another parent.
static void forks(void) { leave(stays); _exit(0); }
static void leads(void) {
  CHECK(setsid() > 0);
  pid_t p = leave(forks);
  CHECK(waitpid(p, 0, 0) == p);
  stays();
}
// A child that stayed behind in the old session.
static void moves_on(void) {
  pid_t c = leave(stays);
  CHECK(setsid() > 0);
  stays();
  kill(c, SIGTERM);
  ends_well(c);
}
// A zombie that leads a session and a group in which others live: they are children of this one.
static void zombie(void) { CHECK(setsid() > 0); leave(stays); leave(in_group); _exit(42); }
static pid_t clones(int signal, void (*work)(void)) {
  pid_t pid = syscall(SYS_clone, signal, 0, 0, 0, 0);
  CHECK(pid >= 0);
  if (pid == 0) { work(); _exit(0); }
  return pid;
}
static volatile int users;
static void on_user(int signal) { users++; }
static void ends_at_once(void) { _exit(7); }

int main(void) {
  int status;
  siginfo_t info;
  all = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  count = (void *)&all[1000];
  CHECK(signal(SIGUSR1, on_user) != SIG_ERR);
  pid_t p = leave(leaderless);
  CHECK(waitpid(p, 0, 0) == p);
  pid_t r = leave(reaper), l = leave(leads), m = leave(moves_on), z = leave(zombie);
  CHECK(waitid(P_PID, z, &info, WEXITED | WNOWAIT) == 0);
  pid_t u = clones(SIGUSR1, stays), none = clones(0, stays), gone = clones(SIGUSR1, ends_at_once);
  while (users == 0) rest_ms(5);
  users = 0;
  while (*count < 16) rest_ms(10);
  for (int i = 0; i < *count; i++) while (!all[i + 100].pid) rest_ms(10);
  rest_ms(50);
  sigset_t chld, pending;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, 0);
  moved();
  CHECK(users == 0 && sigpending(&pending) == 0 && !sigismember(&pending, SIGCHLD));
  CHECK(waitpid(z, &status, 0) == z && WIFEXITED(status) && WEXITSTATUS(status) == 42);
  CHECK(waitpid(gone, &status, 0) == -1 && errno == ECHILD);
  CHECK(waitpid(gone, &status, __WCLONE) == gone && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  CHECK(kill(u, SIGTERM) == 0 && waitpid(u, &status, __WALL) == u && WIFEXITED(status) && WEXITSTATUS(status) == 0 && users == 1);
  CHECK(kill(none, SIGTERM) == 0 && waitpid(none, &status, __WALL) == none && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGCHLD));
  // Those of others: told, and when they find fault they say so themselves.
  for (int i = 0; i < *count; i++) if (all[i].pid != u && all[i].pid != none) kill(all[i].pid, SIGTERM);
  ends_well(r), ends_well(l), ends_well(m);
  for (int i = 0; i < *count; i++)
    for (int k = 0; kill(all[i].pid, 0) == 0; k++) { rest_ms(10); CHECK(k < 500); }
  right();
}
