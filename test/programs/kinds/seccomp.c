// Filters of a process and its threads, installed one after the other, and a thread in strict mode.
#include "seccomp.h"
#include <pthread.h>

static volatile int ready, look;

// Nothing that the move itself needs is allowed here, were it not suspended.
static void *filtered(void *unused) {
  CHECK(forbid(SYS_getppid, 41, SECCOMP_FILTER_FLAG_LOG) == 0);
  CHECK(forbid(SYS_prctl, 42, 0) == 0 && forbid(SYS_munmap, 43, 0) == 0 && forbid(SYS_mmap, 44, 0) == 0);
  __sync_fetch_and_add(&ready, 1);
  while (!look) rest_ms(5);
  CHECK(syscall(SYS_getppid) == -1 && errno == 41);
  CHECK(syscall(SYS_prctl, PR_GET_SECCOMP) == -1 && errno == 42);
  CHECK(syscall(SYS_getsid, 0) == -1 && errno == 40);
  __sync_fetch_and_add(&ready, 1);
  for (;;) pause();
}

static int pipe_in[2], pipe_out[2];
static void *strict(void *unused) {
  char c;
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
  __sync_fetch_and_add(&ready, 1);
  // Only these, and the end, are allowed.
  for (;;)
    if (syscall(SYS_read, pipe_in[0], &c, 1) == 1) syscall(SYS_write, pipe_out[1], &c, 1);
}

static int seccomp_of(int tid) {
  char path[64], line[256];
  int mode = -1;
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f)) sscanf(line, "Seccomp: %d", &mode);
  if (f) fclose(f);
  return mode;
}

static void filtered_child(void) {
  CHECK(forbid(SYS_sethostname, 45, 0) == 0);
  ready = 1;
  while (!told) rest_ms(5);
  CHECK(sethostname("x", 1) == -1 && errno == 45);
  CHECK(syscall(SYS_getsid, 0) == -1 && errno == 40);
}

int main(void) {
  pthread_t a, b;
  char c;
  CHECK(pipe(pipe_in) == 0 && pipe(pipe_out) == 0);
  CHECK(pthread_create(&b, 0, strict, 0) == 0);
  while (ready < 1) rest_ms(1);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(forbid(SYS_getsid, 40, 0) == 0);
  CHECK(pthread_create(&a, 0, filtered, 0) == 0);
  while (ready < 2) rest_ms(1);
  signal(SIGTERM, tell);
  pid_t pid = child(filtered_child);

  moved();
  look = 1;
  while (ready < 3) rest_ms(1);
  CHECK(syscall(SYS_getsid, 0) == -1 && errno == 40);
  CHECK(getppid() == 1);
  CHECK(seccomp_of(getpid()) == 2 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  CHECK(write(pipe_in[1], "s", 1) == 1 && read(pipe_out[0], &c, 1) == 1 && c == 's');
  kill(pid, SIGTERM);
  ends_well(pid);
  right();
}
