// Secure bits, kept capabilities and ids of each thread; many groups; a process that nobody may look at.
#include "kind.h"
#include <grp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { GROUPS = 1000 };
static volatile int ready, look;
static void *thread(void *at) {
  long i = (long)at;
  if (i == 0) CHECK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED) == 0);
  if (i == 1) CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0);
  if (i == 2) CHECK(syscall(SYS_setresuid, 7, 8, 9) == 0 && syscall(SYS_setresgid, 10, 10, 10) == -1);
  if (i == 3) CHECK(syscall(SYS_setfsuid, 77) == 0);
  __sync_fetch_and_add(&ready, 1);
  while (!look) rest_ms(5);
  uid_t a, b, c;
  CHECK(getresuid(&a, &b, &c) == 0);
  if (i == 0) CHECK(prctl(PR_GET_SECUREBITS) == (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED));
  if (i == 1) CHECK(prctl(PR_GET_KEEPCAPS) == 1);
  if (i != 1) CHECK(prctl(PR_GET_KEEPCAPS) == 0);
  if (i == 2) CHECK(a == 7 && b == 8 && c == 9);
  else CHECK(a == 0 && b == 0 && c == 0);
  if (i == 3) CHECK(syscall(SYS_setfsuid, -1) == 77);
  return 0;
}

int main(void) {
  gid_t groups[GROUPS], got[GROUPS];
  pthread_t t[4];
  for (int i = 0; i < GROUPS; i++) groups[i] = 5000 + 3 * i;
  CHECK(setgroups(GROUPS, groups) == 0);
  for (long i = 0; i < 4; i++) CHECK(pthread_create(&t[i], 0, thread, (void *)i) == 0);
  while (ready < 4) rest_ms(1);
  CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
  moved();
  CHECK(prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_SECUREBITS) == 0);
  look = 1;
  for (int i = 0; i < 4; i++) CHECK(pthread_join(t[i], 0) == 0);
  CHECK(getgroups(GROUPS, got) == GROUPS && memcmp(groups, got, sizeof got) == 0);
  right();
}
