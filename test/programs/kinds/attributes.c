// What prctl says of a process and its threads, personality, membarrier, core dumps, the login user, limits.
#include "text.h"
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static volatile int ready, look;
static void *thread(void *unused) {
  CHECK(personality(ADDR_NO_RANDOMIZE) >= 0);
  CHECK(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0);
  ready = 1;
  while (!look) rest_ms(5);
  CHECK(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
  CHECK(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1);
  return 0;
}

int main(void) {
  pthread_t t;
  int n;
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!ready) rest_ms(1);
  int slack = prctl(PR_GET_TIMERSLACK);
  CHECK(slack == 50000 && prctl(PR_SET_TIMERSLACK, 77777) == 0);
  CHECK(personality(UNAME26 | SHORT_INODE) >= 0);
  CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
  int merge = prctl(67, 1, 0, 0, 0);
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0);
  int registered = syscall(SYS_membarrier, 1 << 9, 0, 0);
  CHECK(registered > 0);
  put("/proc/self/coredump_filter", "0x7f");
  put("/proc/self/oom_score_adj", "321");
  int audited = access("/proc/self/loginuid", F_OK) == 0;
  if (audited) put("/proc/self/loginuid", "1000");
  struct rlimit limit = {100, 2000};
  CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0 && setrlimit(RLIMIT_CORE, &limit) == 0);
  moved();
  look = 1;
  CHECK(pthread_join(t, 0) == 0);
  CHECK(prctl(PR_GET_TIMERSLACK) == 77777);
  CHECK(personality(0xffffffff) == (UNAME26 | SHORT_INODE));
  CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
  if (merge == 0) CHECK(prctl(68, 0, 0, 0, 0) == 1);
  CHECK(prctl(PR_GET_CHILD_SUBREAPER, &n, 0, 0, 0) == 0 && n == 1);
  CHECK(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 0);
  CHECK(syscall(SYS_membarrier, 1 << 9, 0, 0) == registered);
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
  holds("/proc/self/coredump_filter", "0000007f\n");
  holds("/proc/self/oom_score_adj", "321\n");
  if (audited) holds("/proc/self/loginuid", "1000");
  CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur == 100 && limit.rlim_max == 2000);
  CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 100 && limit.rlim_max == 2000);
  right();
}
