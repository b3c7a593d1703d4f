// Very many pending signals, for the process and for a thread, in their order and with what came along; those that lost
// their information as there were too many; more than the limit of pending signals that the program then set itself.
// fails: resume
#include "kind.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MANY 400
static volatile int begun, go, done;
static pid_t worker;

static void queue(pid_t tid, int signal, int value) {
  siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE - 7};
  info.si_pid = 77, info.si_uid = 78, info.si_value.sival_int = value;
  if (tid == 0) CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), signal, &info) == 0);
  else CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signal, &info) == 0);
}
static void take(int signal, int value) {
  sigset_t one;
  siginfo_t info;
  struct timespec none = {0};
  sigemptyset(&one);
  sigaddset(&one, signal);
  CHECK(sigtimedwait(&one, &info, &none) == signal);
  CHECK(info.si_code == SI_QUEUE - 7 && info.si_pid == 77 && info.si_uid == 78 && info.si_value.sival_int == value);
}
static void *work(void *_) {
  worker = syscall(SYS_gettid);
  for (int i = 0; i < MANY; i++) queue(worker, SIGRTMIN + 5, 5000 + i);
  queue(worker, SIGUSR2, 6000);
  begun = 1;
  while (!go) rest_ms(5);
  for (int i = 0; i < MANY; i++) take(SIGRTMIN + 5, 5000 + i);
  take(SIGUSR2, 6000);
  done = 1;
  return 0;
}

int main(void) {
  sigset_t all, pending;
  pthread_t t;
  sigfillset(&all);
  sigdelset(&all, SIGTERM);
  CHECK(sigprocmask(SIG_SETMASK, &all, 0) == 0);
  CHECK(pthread_create(&t, 0, work, 0) == 0);
  while (!begun) rest_ms(5);
  for (int i = 0; i < MANY; i++) queue(0, SIGRTMIN + (i % 2), i);
  // From now on there is no room for what comes along.
  struct rlimit few = {10, 10}, now;
  CHECK(setrlimit(RLIMIT_SIGPENDING, &few) == 0);
  CHECK(syscall(SYS_tkill, getpid(), SIGUSR1) == 0 && kill(getpid(), SIGHUP) == 0);
  moved();
  CHECK(getrlimit(RLIMIT_SIGPENDING, &now) == 0 && now.rlim_cur == 10 && now.rlim_max == 10);
  union sigval none = {0};
  CHECK(sigqueue(getpid(), SIGRTMIN + 9, none) == -1 && errno == EAGAIN);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGHUP) && !sigismember(&pending, SIGUSR2) && !sigismember(&pending, SIGALRM));
  for (int i = 0; i < MANY; i += 2) take(SIGRTMIN, i);
  for (int i = 1; i < MANY; i += 2) take(SIGRTMIN + 1, i);
  siginfo_t info;
  sigset_t rest;
  struct timespec no = {0};
  sigemptyset(&rest);
  sigaddset(&rest, SIGUSR1);
  sigaddset(&rest, SIGHUP);
  CHECK(sigtimedwait(&rest, &info, &no) == SIGUSR1 && info.si_code == SI_USER && info.si_pid == 0);
  CHECK(sigtimedwait(&rest, &info, &no) == SIGHUP);
  CHECK(sigtimedwait(&all, &info, &no) == -1 && errno == EAGAIN);
  go = 1;
  CHECK(pthread_join(t, 0) == 0 && done);
  right();
}
