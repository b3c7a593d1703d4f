// Signals, timers, threads and processes that come and go all the time: none is lost, doubled or told of what did not happen.
#include "busy.h"
#include <pthread.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>

// Numbered signals come in their order, each once.
static volatile int64_t last;
static void on_number(int signal, siginfo_t *info, void *_) {
  CHECK(info->si_code == SI_QUEUE && info->si_value.sival_int == last + 1);
  last++;
}
static void numbers(volatile uint64_t *turns) {
  struct sigaction act = {.sa_sigaction = on_number, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigset_t one;
  if (*turns == 0) CHECK(sigaction(SIGRTMIN + 1, &act, 0) == 0);
  sigemptyset(&one), sigaddset(&one, SIGRTMIN + 1);
  CHECK(sigprocmask(SIG_BLOCK, &one, 0) == 0);
  int64_t from = last;
  for (int i = 1; i <= 20; i++) CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = from + i}) == 0);
  CHECK(last == from && sigprocmask(SIG_UNBLOCK, &one, 0) == 0 && last == from + 20);
  ++*turns;
}

static volatile int fine;
static void on_user(int signal) { fine++; }
static void tells_child(volatile uint64_t *turns) {
  struct sigaction act = {.sa_handler = on_user};
  sigset_t one, none;
  sigemptyset(&none), sigemptyset(&one), sigaddset(&one, SIGUSR1);
  CHECK(sigaction(SIGUSR1, &act, 0) == 0 && sigprocmask(SIG_BLOCK, &one, 0) == 0);
  fine = 0;
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(kill(getppid(), SIGUSR1) == 0);
    while (fine == 0) CHECK(sigsuspend(&none) == -1 && errno == EINTR);
    _exit(fine);
  }
  while (fine == 0) CHECK(sigsuspend(&none) == -1 && errno == EINTR);
  CHECK(fine == 1 && kill(pid, SIGUSR1) == 0);
  ends_well_with(pid, 1);
  ++*turns;
}

static void *adds(void *to) { __sync_fetch_and_add((int *)to, 1); return to; }
static void threads(volatile uint64_t *turns) {
  pthread_t t[4];
  int sum = 0;
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&t[i], 0, adds, &sum) == 0);
  for (int i = 0; i < 4; i++) {
    void *answer;
    CHECK(pthread_join(t[i], &answer) == 0 && answer == &sum);
  }
  CHECK(sum == 4);
  ++*turns;
}

// Threads that each beget the next and end.
static volatile int64_t bombs;
static void *bomb(void *_) {
  pthread_t t;
  pthread_attr_t a;
  bombs++;
  if (busy->enough) return 0;
  CHECK(pthread_attr_init(&a) == 0 && pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED) == 0);
  CHECK(pthread_create(&t, &a, bomb, 0) == 0);
  return 0;
}
static void bombards(volatile uint64_t *turns) {
  if (*turns == 0) bomb(0), bomb(0);
  int64_t before = bombs;
  while (bombs == before) rest_ms(1);
  ++*turns;
}

static void rings(volatile uint64_t *turns) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec t = {.it_value = {0, 3000000}};
  int64_t before = now_ms();
  uint64_t n;
  CHECK(fd >= 0 && timerfd_settime(fd, 0, &t, 0) == 0 && read(fd, &n, 8) == 8 && n == 1);
  CHECK(now_ms() - before >= 2 && close(fd) == 0);
  ++*turns;
}

static void alarms(volatile uint64_t *turns) {
  sigset_t one;
  sigemptyset(&one), sigaddset(&one, SIGALRM);
  CHECK(sigprocmask(SIG_BLOCK, &one, 0) == 0);
  int fd = signalfd(-1, &one, 0);
  struct itimerval t = {.it_value = {0, 2000}};
  struct signalfd_siginfo info;
  CHECK(fd >= 0 && setitimer(ITIMER_REAL, &t, 0) == 0);
  CHECK(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGALRM && close(fd) == 0);
  ++*turns;
}

static void grandchildren(volatile uint64_t *turns) {
  int ends[2];
  char c = 0;
  CHECK(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    if (fork() == 0) {
      CHECK(setsid() == getpid() && write(ends[1], "g", 1) == 1);
      _exit(0);
    }
    _exit(5);
  }
  ends_well_with(pid, 5);
  CHECK(close(ends[1]) == 0 && read(ends[0], &c, 1) == 1 && c == 'g' && read(ends[0], &c, 1) == 0 && close(ends[0]) == 0);
  ++*turns;
}

int main(void) {
  void (*workers[])(volatile uint64_t *) = {numbers, tells_child, threads, bombards, rings, alarms, stops, grandchildren};
  all_busy(workers, 8, 0);
  right();
}
