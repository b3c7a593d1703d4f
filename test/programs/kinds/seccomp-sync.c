// A filter that all threads have in common: another for all of them can be added afterwards.
#include "seccomp.h"
#include <pthread.h>

static volatile int look;
static void *thread(void *unused) {
  while (!look) rest_ms(5);
  CHECK(syscall(SYS_getsid, 0) == -1 && errno == 40);
  CHECK(syscall(SYS_getppid) == -1 && errno == 41);
  return 0;
}

int main(void) {
  pthread_t t[3];
  // With rights that are given away then, and without no_new_privs.
  CHECK(forbid(SYS_getsid, 40, 0) == 0);
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, thread, 0) == 0);
  CHECK(setresuid(1000, 1000, 1000) == 0);
  moved();
  CHECK(getuid() == 1000 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(forbid(SYS_getppid, 41, SECCOMP_FILTER_FLAG_TSYNC) == 0);
  look = 1;
  for (int i = 0; i < 3; i++) CHECK(pthread_join(t[i], 0) == 0);
  right();
}
