// POSIX timers of every clock, also of processor time, one shot and periodic, with ids that have holes, with signals that are
// pending, for a thread, and with no signal at all; alarm and the three interval timers with what is left.
// fails: resume
#include "kind.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

typedef int timer_id;
static volatile pid_t thread;
static volatile int go;
static timer_id make(clockid_t clock, int notify, int signal, int value) {
  struct sigevent e = {.sigev_notify = notify, .sigev_signo = signal};
  e.sigev_value.sival_int = value;
  if (notify == SIGEV_THREAD_ID) e._sigev_un._tid = thread;
  timer_id id = -1;
  CHECK(syscall(SYS_timer_create, clock, &e, &id) == 0);
  return id;
}
static void arm(timer_id id, int flags, double value, double every) {
  struct itimerspec t = {{every, (every - (long)every) * 1e9}, {value, (value - (long)value) * 1e9}};
  CHECK(syscall(SYS_timer_settime, id, flags, &t, 0) == 0);
}
static double left(timer_id id, double *every) {
  struct itimerspec t;
  CHECK(syscall(SYS_timer_gettime, id, &t) == 0);
  if (every) *every = t.it_interval.tv_sec + t.it_interval.tv_nsec / 1e9;
  return t.it_value.tv_sec + t.it_value.tv_nsec / 1e9;
}
static double now(clockid_t clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  return t.tv_sec + t.tv_nsec / 1e9;
}
static int near(double is, double should) { return is > should - 30 && is <= should + 0.1; }
static void *work(void *_) {
  thread = syscall(SYS_gettid);
  while (!go) rest_ms(100);
  return 0;
}
static void take(int signal, int value) {
  sigset_t one;
  siginfo_t info;
  struct timespec none = {0};
  sigemptyset(&one);
  sigaddset(&one, signal);
  CHECK(sigtimedwait(&one, &info, &none) == signal);
  if (value >= 0) CHECK(info.si_code == SI_TIMER && info.si_value.sival_int == value);
}
static void burn(double seconds) { for (double end = now(CLOCK_PROCESS_CPUTIME_ID) + seconds; now(CLOCK_PROCESS_CPUTIME_ID) < end;); }
// Alone, with a timer of its only thread's processor time.
static void alone(void) {
  timer_id own = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 7, 7);
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGTERM);
  sigprocmask(SIG_SETMASK, &all, 0);
  arm(own, 0, 0.2, 0);
  until_told(0);
  CHECK(left(own, 0) > 0.05 && left(own, 0) <= 0.2);
  burn(0.3);
  take(SIGRTMIN + 7, 7);
}

int main(void) {
  pthread_t t;
  double every;
  pid_t c = child(alone);
  sigset_t all;
  sigfillset(&all);
  CHECK(sigprocmask(SIG_SETMASK, &all, 0) == 0);
  CHECK(pthread_create(&t, 0, work, 0) == 0);
  while (!thread) rest_ms(5);
  sigdelset(&all, SIGTERM);
  CHECK(sigprocmask(SIG_SETMASK, &all, 0) == 0);
  timer_id mono = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 1);
  timer_id holes[70];
  for (int i = 0; i < 70; i++) holes[i] = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
  timer_id real = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 2), boot = make(CLOCK_BOOTTIME, SIGEV_NONE, 0, 3);
  timer_id tai = make(CLOCK_TAI, SIGEV_SIGNAL, SIGUSR1, 4), to_thread = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR2, 5);
  timer_id cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 2, 6), idle = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGALRM, 8);
  clockid_t others;
  CHECK(pthread_getcpuclockid(t, &others) == 0);
  timer_id of_thread = make(others, SIGEV_NONE, 0, 9);
  timer_id shot = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 10), ticks = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 4, 11);
  for (int i = 0; i < 70; i++) CHECK(syscall(SYS_timer_delete, holes[i]) == 0);
  arm(mono, 0, 1000, 50);
  arm(real, TIMER_ABSTIME, now(CLOCK_REALTIME) + 2000, 0);
  arm(boot, TIMER_ABSTIME, now(CLOCK_BOOTTIME) + 3000, 7.5);
  arm(tai, 0, 4000, 0);
  arm(to_thread, 0, 5000, 1);
  arm(cpu, 0, 2, 0);
  arm(of_thread, 0, 60, 0);
  arm(shot, 0, 0.01, 0);
  arm(ticks, 0, 0.01, 0.01);
  struct itimerval it = {{3, 0}, {600, 0}}, is;
  CHECK(setitimer(ITIMER_REAL, &it, 0) == 0 && setitimer(ITIMER_VIRTUAL, &it, 0) == 0 && setitimer(ITIMER_PROF, &it, 0) == 0);
  rest_ms(200);
  moved();
  CHECK(near(left(mono, &every), 1000) && every == 50 && near(left(real, &every), 2000) && every == 0);
  CHECK(near(left(boot, &every), 3000) && every == 7.5 && near(left(tai, 0), 4000) && near(left(to_thread, &every), 5000) && every == 1);
  CHECK(left(cpu, 0) > 0.1 && left(cpu, 0) <= 2 && left(idle, 0) == 0 && left(of_thread, 0) > 50 && left(of_thread, 0) <= 60);
  // Its threads have used little of it by waiting.
  burn(left(cpu, 0) + 0.1);
  take(SIGRTMIN + 2, 6);
  CHECK(left(shot, 0) == 0);
  take(SIGRTMIN + 3, 10);
  take(SIGRTMIN + 4, 11);
  CHECK(left(ticks, 0) > 0);
  rest_ms(100);
  take(SIGRTMIN + 4, 11);
  CHECK(syscall(SYS_timer_getoverrun, ticks) > 3);
  for (int i = ITIMER_REAL; i <= ITIMER_PROF; i++)
    CHECK(getitimer(i, &is) == 0 && is.it_interval.tv_sec == 3 && is.it_value.tv_sec > 550 && is.it_value.tv_sec <= 600);
  CHECK(alarm(0) > 550);
  // It tells the thread that it told.
  sigset_t pending;
  arm(to_thread, 0, 0.001, 0);
  rest_ms(20);
  CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR2));
  // A new one has an id of its own.
  timer_id fresh = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
  CHECK(fresh != mono && fresh != real && fresh != ticks && fresh != cpu);
  kill(c, SIGTERM);
  ends_well(c);
  right();
}
