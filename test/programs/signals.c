// Handlers with their flags, masks of several threads, alternate stacks, signals that are pending with their
// information, a signalfd, interval timers and POSIX timers, also those that notify one thread.
#include "domain.h"
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>

static char alternate[2][65536] __attribute__((aligned(16)));
static volatile sig_atomic_t alarms, ticks, threadTicks, onStack, queued;
static volatile pid_t worker;

static void onAlarm(int signal) { alarms++; }
static void onTick(int signal, siginfo_t *info, void *context) {
  CHECK(info->si_code == SI_TIMER && info->si_value.sival_int == 4711);
  ticks++;
}
static void onThreadTick(int signal, siginfo_t *info, void *context) {
  CHECK(syscall(SYS_gettid) == worker && info->si_value.sival_int == 4712);
  threadTicks++;
}
static void onUser(int signal) {
  char here;
  char *stack = alternate[syscall(SYS_gettid) == worker];
  CHECK(&here >= stack && &here < stack + sizeof alternate[0]);
  onStack++;
}
static int expected;
static void onQueued(int signal, siginfo_t *info, void *context) {
  CHECK(signal == SIGRTMIN + 3 && info->si_code == SI_QUEUE && info->si_value.sival_int == 100 + expected);
  expected = (expected + 1) % 3;
  queued++;
}

static void stack(int which) {
  stack_t s = {.ss_sp = alternate[which], .ss_size = sizeof alternate[which]};
  CHECK(sigaltstack(&s, 0) == 0);
}

static void *work(void *_) {
  worker = syscall(SYS_gettid);
  stack(1);
  sigset_t mask, seen;
  sigemptyset(&mask);
  sigaddset(&mask, SIGWINCH);
  sigaddset(&mask, SIGRTMIN + 3);
  sigaddset(&mask, SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &mask, 0);
  for (;;) {
    rest_ms(3);
    pthread_sigmask(SIG_SETMASK, 0, &seen);
    CHECK(sigismember(&seen, SIGWINCH) && !sigismember(&seen, SIGALRM));
    int before = onStack;
    syscall(SYS_tgkill, getpid(), worker, SIGUSR1);
    CHECK(onStack > before);
  }
}

static void handle(int signal, void *handler, int flags) {
  struct sigaction a = {.sa_flags = flags};
  a.sa_handler = (void (*)(int))handler;
  sigaddset(&a.sa_mask, SIGHUP);
  CHECK(sigaction(signal, &a, 0) == 0);
}

int main(void) {
  handle(SIGALRM, onAlarm, SA_RESTART);
  handle(SIGRTMIN + 1, onTick, SA_SIGINFO | SA_RESTART);
  handle(SIGRTMIN + 2, onThreadTick, SA_SIGINFO | SA_RESTART);
  handle(SIGUSR1, onUser, SA_ONSTACK | SA_RESTART);
  handle(SIGRTMIN + 3, onQueued, SA_SIGINFO);
  signal(SIGPIPE, SIG_IGN);
  stack(0);
  sigset_t blocked, one;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGRTMIN + 3);
  sigprocmask(SIG_SETMASK, &blocked, 0);
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  int fd = signalfd(-1, &one, SFD_NONBLOCK);
  pthread_t t;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  CHECK(pthread_create(&t, 0, work, 0) == 0);
  pthread_sigmask(SIG_SETMASK, &old, 0);
  while (worker == 0) rest_ms(1);

  struct itimerval interval = {{0, 15000}, {0, 15000}};
  CHECK(setitimer(ITIMER_REAL, &interval, 0) == 0);
  struct itimerspec every = {{0, 10000000}, {0, 10000000}};
  timer_t dropped, process, thread;
  struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 4711};
  CHECK(timer_create(CLOCK_MONOTONIC, &e, &dropped) == 0);
  CHECK(timer_create(CLOCK_MONOTONIC, &e, &process) == 0);
  timer_delete(dropped);
  CHECK(timer_settime(process, 0, &every, 0) == 0);
  e.sigev_notify = SIGEV_THREAD_ID;
  e.sigev_signo = SIGRTMIN + 2;
  e.sigev_value.sival_int = 4712;
  e._sigev_un._tid = worker;
  CHECK(timer_create(CLOCK_BOOTTIME, &e, &thread) == 0);
  CHECK(timer_settime(thread, 0, &every, 0) == 0);

  for (uint64_t turn = 0;; turn++) {
    // Three values wait in line, twice: for the process and for this thread.
    for (int i = 0; i < 3; i++) {
      union sigval v = {.sival_int = 100 + i};
      CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0);
    }
    CHECK(kill(getpid(), SIGUSR2) == 0);
    int a = alarms, k = ticks, h = threadTicks, s = onStack, q = queued;
    rest_ms(150);
    CHECK(alarms > a && ticks > k && threadTicks > h && onStack > s && queued == q);
    struct signalfd_siginfo info;
    CHECK(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR2 && (pid_t)info.ssi_pid == getpid());
    CHECK(read(fd, &info, sizeof info) < 0 && errno == EAGAIN);
    sigset_t waiting;
    sigpending(&waiting);
    CHECK(sigismember(&waiting, SIGRTMIN + 3));
    sigset_t open = blocked;
    sigdelset(&open, SIGRTMIN + 3);
    sigprocmask(SIG_SETMASK, &open, 0);
    sigprocmask(SIG_SETMASK, &blocked, 0);
    CHECK(queued == q + 3);
    struct sigaction is;
    sigaction(SIGUSR1, 0, &is);
    CHECK((is.sa_flags & SA_ONSTACK) && sigismember(&is.sa_mask, SIGHUP) && !sigismember(&is.sa_mask, SIGINT));
    sigaction(SIGPIPE, 0, &is);
    CHECK(is.sa_handler == SIG_IGN);
    sigset_t now;
    sigprocmask(SIG_SETMASK, 0, &now);
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    raise(SIGUSR1);
    turn_done(turn);
  }
}
