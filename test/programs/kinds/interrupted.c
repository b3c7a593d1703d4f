// Calls that answer EINTR to any stop, though no signal has come: waits for semaphores, for requests of asynchronous I/O, for
// sockets with a limit of time. Here they do not; but where a signal comes they do, all the time, whenever the move is.
// fails: shape resume
#include "kind.h"
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

static int set, pair[2], full[2], wake;
static aio_context_t io;
static volatile int begun;

static void *waits_for_one(void *_) {
  struct sembuf take = {0, -1, 0};
  __sync_fetch_and_add(&begun, 1);
  CHECK(syscall(SYS_semop, set, &take, 1) == 0);
  return 0;
}
static void *waits_timed(void *_) {
  struct sembuf take = {1, -1, 0};
  __sync_fetch_and_add(&begun, 1);
  CHECK(syscall(SYS_semtimedop, set, &take, 1, 0) == 0);
  return 0;
}
static void *receives(void *_) {
  char c = 0;
  __sync_fetch_and_add(&begun, 1);
  CHECK(recv(pair[0], &c, 1, 0) == 1 && c == 'r');
  return 0;
}
static void *sends(void *_) {
  char c = 's';
  __sync_fetch_and_add(&begun, 1);
  CHECK(send(full[0], &c, 1, 0) == 1);
  return 0;
}
static void *requests(void *_) {
  struct io_event e;
  __sync_fetch_and_add(&begun, 1);
  CHECK(syscall(SYS_io_getevents, io, 1, 1, &e, 0) == 1);
  return 0;
}
static void *events(void *_) {
  struct epoll_event e = {.events = EPOLLIN};
  int p = epoll_create1(0);
  CHECK(p >= 0 && epoll_ctl(p, EPOLL_CTL_ADD, wake, &e) == 0);
  __sync_fetch_and_add(&begun, 1);
  CHECK(epoll_wait(p, &e, 1, -1) == 1);
  return 0;
}

// A signal every now and then interrupts a call at a socket: never is one begun again for which the signal was meant.
static void on_alarm(int signal) {}
static void interrupts(void) {
  struct sigaction act = {.sa_handler = on_alarm};
  struct itimerval often = {{0, 3000}, {0, 3000}};
  struct timeval long_ = {600, 0};
  int ends[2];
  char c;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &long_, sizeof long_) == 0);
  CHECK(sigaction(SIGALRM, &act, 0) == 0 && setitimer(ITIMER_REAL, &often, 0) == 0);
  for (;;) CHECK(recv(ends[0], &c, 1, 0) == -1 && errno == EINTR);
}

int main(void) {
  pid_t interrupted = child(interrupts);
  struct timeval t = {600, 0};
  set = semget(IPC_PRIVATE, 2, 0600);
  CHECK(set >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, full) == 0);
  CHECK((wake = eventfd(0, 0)) >= 0);
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
  int count = 0;
  while (send(full[0], "x", 1, MSG_DONTWAIT) == 1) count++;
  CHECK(errno == EAGAIN && setsockopt(full[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0);
  CHECK(syscall(SYS_io_setup, 4, &io) == 0);
  void *(*work[])(void *) = {waits_for_one, waits_timed, receives, sends, requests, events};
  enum { N = sizeof work / sizeof *work };
  pthread_t threads[N];
  for (int i = 0; i < N; i++) CHECK(pthread_create(&threads[i], 0, work[i], 0) == 0);
  while (begun < N) rest_ms(5);
  rest_ms(50);
  moved();
  rest_ms(100);
  struct sembuf give[] = {{0, 1, 0}, {1, 1, 0}};
  CHECK(semop(set, give, 2) == 0);
  CHECK(send(pair[1], "r", 1, 0) == 1);
  char c;
  for (int i = 0; i < count; i++) CHECK(recv(full[1], &c, 1, 0) == 1 && c == 'x');
  CHECK(recv(full[1], &c, 1, 0) == 1 && c == 's');
  uint64_t one = 1;
  CHECK(write(wake, &one, 8) == 8);
  // A poll of the same counter, which is ready: the request is done at once.
  struct iocb poll = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = wake, .aio_buf = 1 /* POLLIN */}, *list[] = {&poll};
  CHECK(syscall(SYS_io_submit, io, 1, list) == 1);
  for (int i = 0; i < N; i++) CHECK(pthread_join(threads[i], 0) == 0);
  int status;
  CHECK(waitpid(interrupted, &status, WNOHANG) == 0);
  CHECK(kill(interrupted, SIGKILL) == 0 && waitpid(interrupted, &status, 0) == interrupted);
  right();
}
