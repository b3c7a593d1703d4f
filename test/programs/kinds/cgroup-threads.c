// Threads of one process in threaded cgroups of their own, and everything of the domain in a cgroup below its own.
#include "cgroup.h"
#include <pthread.h>
#include <sys/syscall.h>

static volatile pid_t other;
static void *thread(void *unused) {
  other = syscall(SYS_gettid);
  for (;;) pause();
}

int main(void) {
  pthread_t t;
  CHECK(mkdir(TOP "/all", 0755) == 0);
  put_id(TOP "/all/cgroup.procs", getpid());
  put_id(TOP "/all/cgroup.procs", 1);
  CHECK(mkdir(TOP "/all/a", 0755) == 0 && mkdir(TOP "/all/b", 0755) == 0);
  put(TOP "/all/a/cgroup.type", "threaded");
  put(TOP "/all/b/cgroup.type", "threaded");
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!other) rest_ms(1);
  put_id(TOP "/all/a/cgroup.threads", getpid());
  put_id(TOP "/all/b/cgroup.threads", other);
  in(getpid(), "/all/a");
  in(other, "/all/b");
  moved();
  in(getpid(), "/all/a");
  in(other, "/all/b");
  in(1, "/all");
  right();
}
