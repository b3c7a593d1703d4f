// Threads that are blocked in system calls when the domain stands still. None may be told of it, and none waits
// longer than it asked for, whether it sleeps, polls or waits for a futex. Only epoll_wait with a time may answer
// EINTR, as it does after a stop and a continuation (signal(7)).
#include "domain.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LONG_MS 3000
// A wait that ends while the domain stands still ends when it goes on: on a busy machine more than a second later.
#define SLACK_MS 2000

static volatile uint64_t done[8];
static uint32_t word;
static int inbox[2], wake, quiet[2];

static void timed(int which, int64_t before) {
  int64_t took = now_ms() - before;
  if (took < LONG_MS - 5 || took > LONG_MS + SLACK_MS) {
    printf("broken: call %d took %ld ms\n", which, (long)took);
    fflush(stdout);
    _exit(1);
  }
  done[which]++;
}

static void *sleeper(void *_) {
  for (;;) {
    struct timespec t = {LONG_MS / 1000, LONG_MS % 1000 * 1000000};
    int64_t before = now_ms();
    CHECK(nanosleep(&t, 0) == 0);
    timed(0, before);
  }
}
// A job that is stopped and continued while it sleeps: nobody can tell how much was left, but it sleeps on.
static void stoppedSleeper(void) {
  for (;;) {
    struct timespec t = {LONG_MS / 1000, 0};
    int64_t before = now_ms();
    CHECK(nanosleep(&t, 0) == 0);
    int64_t took = now_ms() - before;
    if (took < LONG_MS - 5 || took > 2 * LONG_MS + SLACK_MS) {
      printf("broken: the stopped sleeper took %ld ms\n", (long)took);
      fflush(stdout);
      _exit(1);
    }
  }
}
static void stopper(pid_t job) {
  for (;;) {
    rest_ms(700);
    CHECK(kill(job, SIGSTOP) == 0);
    rest_ms(1);
    CHECK(kill(job, SIGCONT) == 0);
  }
}
static void on_wake(int signal) {}
// Woken early by a signal, it is told how much was left: also of a sleep that a move has disturbed before.
static void *awakened(void *_) {
  for (;;) {
    struct timespec t = {LONG_MS / 1000, 0}, left = {0};
    int64_t before = now_ms();
    if (nanosleep(&t, &left) == 0) continue; // the waker was late
    CHECK(errno == EINTR);
    int64_t all = now_ms() - before + left.tv_sec * 1000 + left.tv_nsec / 1000000;
    if (all < LONG_MS - 5 || all > LONG_MS + SLACK_MS) {
      printf("broken: slept and left make %ld ms\n", (long)all);
      fflush(stdout);
      _exit(1);
    }
  }
}
static void *waker(void *who) {
  for (;;) {
    rest_ms(LONG_MS / 2);
    CHECK(pthread_kill(*(pthread_t *)who, SIGUSR2) == 0);
  }
}
static void *poller(void *_) {
  for (;;) {
    struct pollfd p = {.fd = quiet[0], .events = POLLIN};
    int64_t before = now_ms();
    CHECK(poll(&p, 1, LONG_MS) == 0);
    timed(1, before);
  }
}
static void *selecter(void *_) {
  for (;;) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(quiet[0], &set);
    struct timeval t = {LONG_MS / 1000, 0};
    int64_t before = now_ms();
    CHECK(select(quiet[0] + 1, &set, 0, 0, &t) == 0);
    timed(2, before);
  }
}
static void *futexer(void *_) {
  for (;;) {
    struct timespec t = {LONG_MS / 1000, 0};
    int64_t before = now_ms();
    CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, 0, 0) < 0 && errno == ETIMEDOUT);
    timed(3, before);
  }
}
static void *epoller(void *_) {
  int set = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 9};
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, wake, &e) == 0);
  for (;; done[4]++) {
    // For ever: no time, so no excuse.
    CHECK(epoll_wait(set, &e, 1, -1) == 1 && e.data.u64 == 9);
    uint64_t v;
    CHECK(read(wake, &v, 8) == 8);
  }
}
static void *epollerTimed(void *_) {
  int set = epoll_create1(0);
  for (;;) {
    struct epoll_event e;
    int64_t end = now_ms() + LONG_MS, before = now_ms();
    for (int64_t left; (left = end - now_ms()) > 0;) {
      int n = epoll_wait(set, &e, 1, left);
      CHECK(n == 0 || (n < 0 && errno == EINTR));
    }
    timed(5, before);
  }
}
static void *reader(void *_) {
  for (;; done[6]++) {
    char c;
    CHECK(read(inbox[0], &c, 1) == 1 && c == 'x');
  }
}
static void *waiter(void *_) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  for (;; done[7]++) {
    int signal;
    CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR1);
  }
}

int main(void) {
  // A process whose only thread sleeps for long.
  if (fork() == 0) sleeper(0);
  pid_t job = fork();
  if (job == 0) stoppedSleeper();
  if (fork() == 0) stopper(job);
  struct sigaction wakes = {.sa_handler = on_wake};
  sigaction(SIGUSR2, &wakes, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  CHECK(pipe(inbox) == 0 && pipe(quiet) == 0);
  wake = eventfd(0, 0);
  void *(*work[])(void *) = {sleeper, poller, selecter, futexer, epoller, epollerTimed, reader, waiter};
  pthread_t t, asleep;
  CHECK(pthread_create(&asleep, 0, awakened, 0) == 0 && pthread_create(&t, 0, waker, &asleep) == 0);
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&t, 0, work[i], 0) == 0);
  for (uint64_t turn = 0;; turn++) {
    // The main thread sleeps relatively too.
    struct timespec rest = {0, 150000000};
    CHECK(nanosleep(&rest, 0) == 0);
    uint64_t v = 1, seen[8];
    for (int i = 0; i < 8; i++) seen[i] = done[i];
    CHECK(write(wake, &v, 8) == 8 && write(inbox[1], "x", 1) == 1 && kill(getpid(), SIGUSR1) == 0);
    for (int k = 0; k < 2000 && (done[4] == seen[4] || done[6] == seen[6] || done[7] == seen[7]); k++) rest_ms(5);
    CHECK(done[4] > seen[4] && done[6] > seen[6] && done[7] > seen[7]);
    turn_done(turn);
  }
}
