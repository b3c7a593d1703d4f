// Threads of one process in threaded cgroups of their own, and everything of the domain in a cgroup below its own.
#include "kind.h"
#include <pthread.h>
#include <sys/syscall.h>

#define TOP "/sys/fs/cgroup"

static void put(const char *path, int id) {
  char text[32];
  int fd = open(path, O_WRONLY), n = snprintf(text, sizeof text, "%d", id);
  CHECK(fd >= 0 && write(fd, text, n) == n);
  close(fd);
}

static void in(pid_t tid, const char *path) {
  char file[64], want[128], got[256] = "";
  snprintf(file, sizeof file, "/proc/self/task/%d/cgroup", tid);
  snprintf(want, sizeof want, "0::%s\n", path);
  int fd = open(file, O_RDONLY);
  CHECK(fd >= 0 && read(fd, got, sizeof got - 1) > 0);
  if (strcmp(got, want)) printf("broken: %d is in %s", tid, got);
  CHECK(strcmp(got, want) == 0);
  close(fd);
}

static volatile pid_t other;
static void *thread(void *unused) {
  other = syscall(SYS_gettid);
  for (;;) pause();
}

int main(void) {
  pthread_t t;
  CHECK(mkdir(TOP "/all", 0755) == 0);
  put(TOP "/all/cgroup.procs", getpid());
  put(TOP "/all/cgroup.procs", 1);
  CHECK(mkdir(TOP "/all/a", 0755) == 0 && mkdir(TOP "/all/b", 0755) == 0);
  for (int i = 0; i < 2; i++) {
    int fd = open(i ? TOP "/all/b/cgroup.type" : TOP "/all/a/cgroup.type", O_WRONLY);
    CHECK(fd >= 0 && write(fd, "threaded", 8) == 8);
    close(fd);
  }
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!other) rest_ms(1);
  put(TOP "/all/a/cgroup.threads", getpid());
  put(TOP "/all/b/cgroup.threads", other);
  in(getpid(), "/all/a");
  in(other, "/all/b");
  moved();
  in(getpid(), "/all/a");
  in(other, "/all/b");
  char got[64] = "";
  int fd = open("/proc/1/cgroup", O_RDONLY);
  CHECK(read(fd, got, sizeof got - 1) > 0 && strcmp(got, "0::/all\n") == 0);
  right();
}
