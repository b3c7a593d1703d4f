// pidfds: of a child, of one that has ended, of one that is forgotten, of the process itself, of a thread, of the first process.
#include "kind.h"
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/pidfd.h>
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static void stay(void) {
  for (;;) pause();
}
static void nothing(void) { _exit(7); }

static volatile int tid, look;
static void *thread(void *unused) {
  tid = syscall(SYS_gettid);
  while (!look) rest_ms(2);
  return 0;
}

static int opened(int pid, int flags) {
  int fd = syscall(SYS_pidfd_open, pid, flags);
  CHECK(fd >= 0);
  return fd;
}

static int ended(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

static int pid_of(int fd) {
  char path[64], line[128];
  int pid = -100;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *f = fopen(path, "r");
  while (fgets(line, sizeof line, f)) sscanf(line, "Pid: %d", &pid);
  fclose(f);
  return pid;
}

int main(void) {
  pthread_t t;
  siginfo_t info;
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!tid) rest_ms(1);
  pid_t a = child(stay), b = child(nothing), c = child(nothing);
  int live = opened(a, 0), also = opened(a, PIDFD_NONBLOCK), dead = opened(b, 0), gone = opened(c, PIDFD_NONBLOCK);
  int self = opened(getpid(), 0), of_thread = opened(tid, PIDFD_THREAD), first = opened(1, 0);
  CHECK(waitpid(c, 0, 0) == c);
  while (!ended(dead)) rest_ms(1);
  moved();
  CHECK(pid_of(live) == a && pid_of(also) == a && pid_of(dead) == b && pid_of(gone) == -1);
  CHECK(pid_of(self) == getpid() && pid_of(of_thread) == tid && pid_of(first) == 1);
  CHECK(!ended(live) && !ended(of_thread) && !ended(self) && ended(dead) && ended(gone));
  CHECK(waitid(P_PIDFD, also, &info, WEXITED) == -1 && errno == EAGAIN);
  CHECK(waitid(P_PIDFD, gone, &info, WEXITED) == -1 && errno == ECHILD);
  CHECK(syscall(SYS_pidfd_send_signal, gone, 0, 0, 0) == -1 && errno == ESRCH);
  CHECK(syscall(SYS_pidfd_send_signal, live, SIGKILL, 0, 0) == 0);
  CHECK(waitid(P_PIDFD, live, &info, WEXITED) == 0 && info.si_pid == a && info.si_status == SIGKILL);
  CHECK(waitid(P_PIDFD, dead, &info, WEXITED) == 0 && info.si_pid == b && info.si_status == 7);
  look = 1;
  CHECK(pthread_join(t, 0) == 0);
  for (int turn = 0; !ended(of_thread) && turn < 1000; turn++) rest_ms(1);
  CHECK(ended(of_thread));
  right();
}
