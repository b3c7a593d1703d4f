// Policy, priority, niceness and I/O priority of each thread; processors; timer slack.
#include "kind.h"
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct attr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t least, most;
};

enum { THREADS = 8 };
static volatile int ready, look;
static volatile int slack;

static const struct attr WANT[THREADS] = {
  {.policy = SCHED_OTHER},
  {.policy = SCHED_OTHER, .nice = 7},
  {.policy = SCHED_BATCH, .nice = -3},
  {.policy = SCHED_IDLE},
  {.policy = SCHED_FIFO, .priority = 3},
  {.policy = SCHED_RR, .priority = 42, .flags = 1},
  {.policy = SCHED_OTHER, .nice = -20, .flags = 1},
  {.policy = 6, .runtime = 1000000, .deadline = 20000000, .period = 50000000},
};

static void *thread(void *at) {
  int i = (long)at;
  struct attr a = WANT[i], got;
  a.size = sizeof a;
  CHECK(syscall(SYS_sched_setattr, 0, &a, 0) == 0);
  int io = i << 13 | i;
  if (i < 4) CHECK(syscall(SYS_ioprio_set, 1, 0, io) == 0);
  if (i < 4) CHECK(prctl(PR_SET_TIMERSLACK, 1000 + i) == 0);
  __sync_fetch_and_add(&ready, 1);
  while (!look) rest_ms(5);
  CHECK(syscall(SYS_sched_getattr, 0, &got, sizeof got, 0) == 0);
  if (got.policy != a.policy || got.nice != a.nice || got.priority != a.priority || got.flags != a.flags)
    printf("broken: thread %d has policy %u nice %d priority %u flags %lu\n", i, got.policy, got.nice, got.priority, got.flags);
  CHECK(got.policy == a.policy && got.nice == a.nice && got.priority == a.priority && got.flags == a.flags);
  if (a.policy == 6) CHECK(got.runtime == a.runtime && got.deadline == a.deadline && got.period == a.period);
  if (i < 4) CHECK(syscall(SYS_ioprio_get, 1, 0) == io);
  if (i < 4) CHECK(prctl(PR_GET_TIMERSLACK) == 1000 + i);
  __sync_fetch_and_add(&ready, 1);
  return 0;
}

int main(void) {
  pthread_t t[THREADS];
  slack = prctl(PR_GET_TIMERSLACK);
  CHECK(slack == 50000);
  for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], 0, thread, (void *)i) == 0);
  while (ready < THREADS) rest_ms(1);
  CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
  moved();
  look = 1;
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(t[i], 0) == 0);
  CHECK(getpriority(PRIO_PROCESS, 0) == 5 && sched_getscheduler(0) == SCHED_OTHER);
  CHECK(prctl(PR_GET_TIMERSLACK) == slack);
  cpu_set_t set;
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == sysconf(_SC_NPROCESSORS_ONLN));
  right();
}
