// Who is told by a signal of what can be read: a process, a thread, a group; by which signal; in whose name.
#include "kind.h"
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

static volatile sig_atomic_t got, got_fd, got_tid;
static void note(int signal, siginfo_t *info, void *unused) {
  got = signal;
  got_fd = info->si_fd;
  got_tid = syscall(SYS_gettid);
}

static void expect(int signal, int fd, int tid) {
  for (int turn = 0; got == 0 && turn < 2000; turn++) rest_ms(1);
  if (got != signal) printf("broken: signal %d and not %d\n", (int)got, signal);
  CHECK(got == signal && (fd < 0 || got_fd == fd) && (tid == 0 || got_tid == tid));
  got = 0;
}

static volatile int tid;
static void *thread(void *unused) {
  tid = syscall(SYS_gettid);
  for (;;) pause();
}

static int owned(int fd, int type, int id, int signal) {
  struct f_owner_ex o = {type, id};
  CHECK(fcntl(fd, F_SETOWN_EX, &o) == 0 && (signal == 0 || fcntl(fd, F_SETSIG, signal) == 0));
  CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC) == 0);
  return fd;
}

static void is(int fd, int type, int id, int signal) {
  struct f_owner_ex o;
  CHECK(fcntl(fd, F_GETOWN_EX, &o) == 0 && o.type == type && o.pid == id);
  CHECK(fcntl(fd, F_GETSIG) == signal && (fcntl(fd, F_GETFL) & O_ASYNC) != 0);
}

int main(void) {
  int a[2], b[2], c[2], d[2], pair[2];
  uid_t uids[2];
  pthread_t t;
  struct sigaction act = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  for (int s = SIGRTMIN; s < SIGRTMIN + 4; s++) CHECK(sigaction(s, &act, 0) == 0);
  CHECK(sigaction(SIGIO, &act, 0) == 0 && sigaction(SIGURG, &act, 0) == 0);
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!tid) rest_ms(1);
  CHECK(pipe(a) == 0 && pipe(b) == 0 && pipe(c) == 0 && pipe(d) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  owned(a[0], F_OWNER_PID, getpid(), SIGRTMIN);
  owned(b[0], F_OWNER_TID, tid, SIGRTMIN + 1);
  owned(c[0], F_OWNER_PGRP, getpgrp(), 0);
  owned(pair[0], F_OWNER_PID, getpid(), SIGRTMIN + 2);
  CHECK(setresuid(1000, 1001, 0) == 0);
  owned(d[0], F_OWNER_PID, getpid(), SIGRTMIN + 3);
  CHECK(setresuid(0, 0, 0) == 0);
  moved();
  is(a[0], F_OWNER_PID, getpid(), SIGRTMIN);
  is(b[0], F_OWNER_TID, tid, SIGRTMIN + 1);
  is(c[0], F_OWNER_PGRP, getpgrp(), 0);
  CHECK(fcntl(d[0], F_GETOWNER_UIDS, uids) == 0 && uids[0] == 1000 && uids[1] == 1001);
  CHECK(fcntl(a[0], F_GETOWNER_UIDS, uids) == 0 && uids[0] == 0 && uids[1] == 0);
  CHECK(write(a[1], "x", 1) == 1);
  expect(SIGRTMIN, a[0], getpid());
  CHECK(write(b[1], "x", 1) == 1);
  expect(SIGRTMIN + 1, b[0], tid);
  CHECK(write(c[1], "x", 1) == 1);
  expect(SIGIO, -1, 0);
  CHECK(write(pair[1], "x", 1) == 1);
  expect(SIGRTMIN + 2, pair[0], 0);
  right();
}
