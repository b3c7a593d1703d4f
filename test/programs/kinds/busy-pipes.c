// Bytes, messages and descriptors that go round through pipes and sockets all the time; none is lost, doubled or out of order.
#include "busy.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static int ring[3][2], stream[2], packets[2], datagrams[2], counter, gifts[2];

static void passes(volatile uint64_t *turns, int from, int to) {
  struct pollfd p = {.fd = from, .events = POLLIN};
  uint64_t n;
  if (poll(&p, 1, 50) == 0) return;
  CHECK(read(from, &n, 8) == 8);
  n++;
  CHECK(write(to, &n, 8) == 8);
  ++*turns;
}
static void first(volatile uint64_t *turns) { passes(turns, ring[0][0], ring[1][1]); }
static void second(volatile uint64_t *turns) { passes(turns, ring[1][0], ring[2][1]); }
static void third(volatile uint64_t *turns) { passes(turns, ring[2][0], ring[0][1]); }

static uint64_t next(uint64_t *s) { return *s = *s * 6364136223846793005 + 1442695040888963407; }

static void writes(volatile uint64_t *turns) {
  static uint64_t state = 5;
  uint64_t block[600];
  for (int i = 0; i < 600; i++) block[i] = next(&state);
  for (size_t at = 0; at < sizeof block;) {
    ssize_t n = write(stream[0], (char *)block + at, sizeof block - at);
    CHECK(n > 0);
    at += n;
  }
  ++*turns;
}
// Also what is left when there is enough: whoever writes must not wait for ever.
static void reads(volatile uint64_t *turns) {
  static uint64_t state = 5, block;
  static size_t have;
  struct pollfd p = {.fd = stream[1], .events = POLLIN};
  if (poll(&p, 1, 50) == 0) return;
  for (;;) {
    ssize_t n = recv(stream[1], (char *)&block + have, 8 - have, MSG_DONTWAIT);
    if (n < 0) break;
    CHECK(n > 0);
    if ((have += n) < 8) continue;
    have = 0;
    CHECK(block == next(&state));
    ++*turns;
  }
}

// Alone with both ends: no two processes, no order between them.
static void messages(volatile uint64_t *turns) {
  char out[3000], in[4000];
  for (int i = 0; i < 5; i++) {
    size_t n = 1 + (*turns * 37 + i * 611) % sizeof out;
    memset(out, i + *turns, n);
    CHECK(send(packets[0], out, n, 0) == (ssize_t)n);
    CHECK(send(datagrams[1], out, n, 0) == (ssize_t)n);
  }
  for (int i = 0; i < 5; i++) {
    size_t n = 1 + (*turns * 37 + i * 611) % sizeof out;
    memset(out, i + *turns, n);
    CHECK(recv(packets[1], in, sizeof in, 0) == (ssize_t)n && memcmp(in, out, n) == 0);
    CHECK(recv(datagrams[0], in, sizeof in, 0) == (ssize_t)n && memcmp(in, out, n) == 0);
  }
  ++*turns;
}

static void counts(volatile uint64_t *turns) {
  uint64_t three = 3, got;
  int set = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 77};
  CHECK(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, counter, &e) == 0);
  CHECK(epoll_wait(set, &e, 1, 0) == 0);
  CHECK(write(counter, &three, 8) == 8 && epoll_wait(set, &e, 1, -1) == 1 && e.data.u64 == 77);
  CHECK(read(counter, &got, 8) == 8 && got == 3 && close(set) == 0);
  ++*turns;
}

static void gives(volatile uint64_t *turns) {
  int ends[2], got;
  char c = 'g';
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {0};
  struct iovec v = {&c, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  CHECK(pipe(ends) == 0);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  *h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(h), &ends[0], sizeof(int));
  CHECK(sendmsg(gifts[0], &m, 0) == 1 && close(ends[0]) == 0);
  CHECK(write(ends[1], "gift", 4) == 4 && close(ends[1]) == 0);
  CHECK(recvmsg(gifts[1], &m, 0) == 1 && (h = CMSG_FIRSTHDR(&m)) && h->cmsg_type == SCM_RIGHTS);
  memcpy(&got, CMSG_DATA(h), sizeof(int));
  char word[8] = {0};
  CHECK(read(got, word, 8) == 4 && strcmp(word, "gift") == 0 && read(got, word, 8) == 0 && close(got) == 0);
  ++*turns;
}

int main(void) {
  for (int i = 0; i < 3; i++) CHECK(pipe(ring[i]) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, gifts) == 0);
  CHECK((counter = eventfd(0, 0)) >= 0);
  uint64_t zero = 0;
  // Several go round at once, so that whoever ends first does not leave the others waiting.
  for (int i = 0; i < 6; i++) CHECK(write(ring[0][1], &zero, 8) == 8);
  void (*workers[])(volatile uint64_t *) = {messages, counts, gives, writes, first, second, third, reads};
  all_busy(workers, 8, 4);
  right();
}
