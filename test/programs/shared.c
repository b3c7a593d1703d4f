// Shared memory of every sort between a parent and its children, a memfd with a seal, pipes with contents,
// an eventfd, a timerfd and an epoll set. Verifies itself for ever.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { printf("broken: %s\n", #x); fflush(stdout); _exit(1); } } while (0)

int main(void) {
  volatile uint64_t *anon = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int memfd = memfd_create("box", MFD_ALLOW_SEALING);
  CHECK(ftruncate(memfd, 1 << 20) == 0);
  volatile uint64_t *box = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  CHECK(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  char *mine = malloc(1 << 20);
  memset(mine, 7, 1 << 20);
  int ask[2], answer[2], parked[2];
  CHECK(pipe(ask) == 0 && pipe(answer) == 0 && pipe2(parked, O_NONBLOCK) == 0);
  CHECK(write(parked[1], "left here", 9) == 9);
  int counter = eventfd(41, EFD_NONBLOCK);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec every = {{0, 50000000}, {0, 50000000}};
  timerfd_settime(timer, 0, &every, 0);
  int set = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0xfeedfacecafebeefULL};
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, timer, &e) == 0);
  lseek(memfd, 12345, SEEK_SET);

  if (fork() == 0) {
    // The child answers every question through the memory both see.
    for (uint64_t n = 1;; n++) {
      uint64_t q;
      CHECK(read(ask[0], &q, 8) == 8);
      CHECK(q == n && anon[n % 1000] == n && box[n % 1000] == ~n);
      for (int i = 0; i < 1 << 20; i += 4096) CHECK(mine[i] == 7);
      anon[5000] = n;
      box[5000] = n * 3;
      CHECK(write(answer[1], &q, 8) == 8);
    }
  }
  for (uint64_t n = 1;; n++) {
    anon[n % 1000] = n;
    box[n % 1000] = ~n;
    CHECK(write(ask[1], &n, 8) == 8);
    uint64_t q;
    CHECK(read(answer[0], &q, 8) == 8 && q == n);
    CHECK(anon[5000] == n && box[5000] == n * 3);
    uint64_t v;
    CHECK(read(counter, &v, 8) == 8 && v == 41);
    CHECK(write(counter, &v, 8) == 8);
    char text[16] = {0};
    CHECK(read(parked[0], text, 16) == 9 && strcmp(text, "left here") == 0);
    CHECK(write(parked[1], "left here", 9) == 9);
    struct epoll_event got;
    int r;
    do r = epoll_wait(set, &got, 1, 5000);
    while (r < 0);
    CHECK(r == 1 && got.data.u64 == 0xfeedfacecafebeefULL);
    CHECK(read(timer, &v, 8) == 8 && v >= 1);
    CHECK(lseek(memfd, 0, SEEK_CUR) == 12345);
    CHECK(fcntl(memfd, F_GET_SEALS) == F_SEAL_SHRINK);
    memset(mine, (int)(n % 100), 1 << 20);
    printf("turn %lu pid %d\n", (unsigned long)n, getpid());
    fflush(stdout);
  }
}
