// Threads that are nearly always inside the vDSO, with a timer whose signals return through it: clocks never step
// back, and a signal never comes to nothing.
#include "domain.h"
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <sys/time.h>

static volatile uint64_t rounds[3];
static volatile sig_atomic_t rings;
static void onRing(int signal) { rings++; }

static void *reader(void *argument) {
  const int me = (intptr_t)argument;
  const clockid_t clock = me == 0 ? CLOCK_MONOTONIC : me == 1 ? CLOCK_BOOTTIME : CLOCK_MONOTONIC_COARSE;
  struct timespec last = {0}, now;
  for (;; rounds[me]++) {
    for (int i = 0; i < 100; i++) {
      CHECK(clock_gettime(clock, &now) == 0);
      const int onward = now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec);
      if (!onward) {
        printf("clock %d was %ld.%09ld, is %ld.%09ld\n", (int)clock, (long)last.tv_sec, last.tv_nsec, (long)now.tv_sec, now.tv_nsec);
        CHECK(onward);
      }
      CHECK(last.tv_sec == 0 || now.tv_sec - last.tv_sec < 60);
      last = now;
    }
    CHECK(sched_getcpu() >= 0);
    struct timeval t;
    CHECK(gettimeofday(&t, 0) == 0);
  }
}

int main(void) {
  struct sigaction a = {.sa_handler = onRing, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &a, 0);
  pthread_t t;
  for (intptr_t i = 0; i < 3; i++) CHECK(pthread_create(&t, 0, reader, (void *)i) == 0);
  struct itimerval often = {{0, 5000}, {0, 5000}};
  setitimer(ITIMER_REAL, &often, 0);
  for (uint64_t turn = 0;; turn++) {
    uint64_t r[3] = {rounds[0], rounds[1], rounds[2]};
    int g = rings;
    rest_ms(200);
    // After a pause longer than the rest this thread may be the first to run.
    for (int i = 0, more = 0; i < 3; i++) {
      while (rounds[i] == r[i] && more++ < 500) rest_ms(10);
      CHECK(rounds[i] > r[i]);
    }
    CHECK(rings > g);
    turn_done(turn);
  }
}
