// A signal for the end of the parent, in a process that then gave up its rights, and in a thread: it is sent still.
#include "kind.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static volatile int *seen;
static void count(int signal) { seen[0]++; }
static void orphan(void) {
  sigset_t one;
  CHECK(signal(SIGUSR1, count) != SIG_ERR);
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  CHECK(setgid(1234) == 0 && setuid(1234) == 0 && prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
  seen[1] = 1;
  while (seen[0] == 0) pause();
}
static void *apart(void *_) {
  int signal;
  CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0);
  seen[2] = 1;
  while (seen[3] == 0) rest_ms(5);
  CHECK(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGUSR2);
  seen[4] = 1;
  return 0;
}
static void parent(void) {
  child(orphan);
  for (;;) pause();
}

int main(void) {
  int status, signal;
  pthread_t t;
  seen = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && pthread_create(&t, 0, apart, 0) == 0);
  pid_t p = child(parent);
  while (!seen[1] || !seen[2]) rest_ms(5);
  moved();
  CHECK(seen[0] == 0 && kill(p, SIGKILL) == 0 && waitpid(p, &status, 0) == p);
  for (int i = 0; i < 200 && seen[0] == 0; i++) rest_ms(10);
  CHECK(seen[0] == 1);
  CHECK(waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  seen[3] = 1;
  CHECK(pthread_join(t, 0) == 0 && seen[4]);
  CHECK(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == 0);
  right();
}
