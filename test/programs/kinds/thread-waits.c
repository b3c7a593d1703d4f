// Threads with names of any bytes, in waits of every sort: a lock with priority inheritance that another thread holds, a point in
// time, another thread's end, a condition, a semaphore, sigsuspend, pause. None is told that it was moved.
// fails: resume
#include "kind.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

static pthread_mutex_t pi, robust;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static sem_t sem;
static volatile int begun, said, handled;
static uint32_t word = 5;

static void in_time(clockid_t clock, struct timespec *t, int ms) {
  CHECK(clock_gettime(clock, t) == 0);
  t->tv_sec += ms / 1000, t->tv_nsec += ms % 1000 * 1000000;
  if (t->tv_nsec >= 1000000000) t->tv_sec++, t->tv_nsec -= 1000000000;
}
static void named(const char *name) {
  char is[16] = {0};
  CHECK(prctl(PR_GET_NAME, is) == 0 && strncmp(is, name, 16) == 0);
}
static void begin(const char *name) { CHECK(prctl(PR_SET_NAME, name) == 0); __sync_fetch_and_add(&begun, 1); }
static void *locks(void *_) {
  begin(" a\\b\n\t ");
  CHECK(pthread_mutex_lock(&pi) == 0 && pthread_mutex_unlock(&pi) == 0);
  named(" a\\b\n\t ");
  return 0;
}
static void *until(void *_) {
  struct timespec t, now;
  begin("\xff\x80 until");
  in_time(CLOCK_MONOTONIC, &t, 9000);
  CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 5, &t, 0, FUTEX_BITSET_MATCH_ANY) == -1 && errno == ETIMEDOUT);
  CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  CHECK((now.tv_sec - t.tv_sec) * 1000 + (now.tv_nsec - t.tv_nsec) / 1000000 >= 0);
  named("\xff\x80 until");
  return 0;
}
static void *waits(void *_) {
  begin("");
  CHECK(pthread_mutex_lock(&plain) == 0);
  while (!said) CHECK(pthread_cond_wait(&cond, &plain) == 0);
  CHECK(pthread_mutex_unlock(&plain) == 0);
  named("");
  return 0;
}
static void *takes(void *_) {
  begin("exactly-15-long");
  CHECK(sem_wait(&sem) == 0);
  named("exactly-15-long");
  return 0;
}
static void on_user(int signal) { __sync_fetch_and_add(&handled, 1); }
static void *suspends(void *_) {
  sigset_t none;
  sigemptyset(&none);
  sigaddset(&none, SIGTERM);
  begin("suspends");
  CHECK(sigsuspend(&none) == -1 && errno == EINTR && handled >= 1);
  CHECK(pthread_sigmask(SIG_BLOCK, 0, &none) == 0 && sigismember(&none, SIGUSR1));
  return 0;
}
static void *pauses(void *_) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &one, 0) == 0);
  begin("pauses");
  CHECK(pause() == -1 && errno == EINTR && handled >= 1);
  return 0;
}
static void *joins(void *other) {
  begin("joins");
  CHECK(pthread_join(*(pthread_t *)other, 0) == 0);
  return 0;
}
// Dies with a lock; whoever comes after it is told.
static void *holds(void *_) {
  unsigned long mode = 0;
  CHECK(pthread_mutex_lock(&robust) == 0);
  __asm__ volatile("fsrmi 3");
  volatile double third = 1.0;
  begin("holds");
  while (!said) ;
  __asm__ volatile("frrm %0" : "=r"(mode));
  CHECK(mode == 3 && (third = third / 3) > 0.33333333333333331);
  return 0;
}

int main(void) {
  pthread_mutexattr_t attr;
  CHECK(pthread_mutexattr_init(&attr) == 0 && pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
  CHECK(pthread_mutex_init(&pi, &attr) == 0 && sem_init(&sem, 0, 0) == 0);
  CHECK(pthread_mutexattr_init(&attr) == 0 && pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
  CHECK(pthread_mutex_init(&robust, &attr) == 0);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  CHECK(signal(SIGUSR1, on_user) != SIG_ERR && pthread_sigmask(SIG_BLOCK, &one, 0) == 0);
  CHECK(pthread_mutex_lock(&pi) == 0 && prctl(PR_SET_NAME, "main \\n") == 0);
  void *(*work[])(void *) = {locks, until, waits, takes, suspends, pauses, holds};
  pthread_t t[8];
  for (int i = 0; i < 7; i++) CHECK(pthread_create(&t[i], 0, work[i], 0) == 0);
  CHECK(pthread_create(&t[7], 0, joins, &t[3]) == 0);
  while (begun < 8) rest_ms(5);
  rest_ms(50);
  moved();
  named("main \\n");
  CHECK(handled == 0 && pthread_mutex_unlock(&pi) == 0 && pthread_mutex_lock(&plain) == 0);
  said = 1;
  CHECK(pthread_cond_broadcast(&cond) == 0 && pthread_mutex_unlock(&plain) == 0 && sem_post(&sem) == 0);
  CHECK(pthread_kill(t[4], SIGUSR1) == 0 && pthread_kill(t[5], SIGUSR1) == 0);
  for (int i = 0; i < 8; i++) if (i != 3) CHECK(pthread_join(t[i], 0) == 0);
  CHECK(handled == 2 && pthread_mutex_lock(&robust) == EOWNERDEAD);
  right();
}
