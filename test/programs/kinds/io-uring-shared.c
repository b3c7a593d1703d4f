// hops: 3
// A ring that a child has mapped and whose descriptor it has closed; what a child shall not have; a mapping that cannot be written.
#include "io-uring.h"

static struct ring r;

static void other(void) {
  CHECK(close(r.fd) == 0);
  until_told(0);
  // What its parent has done is seen here.
  CHECK(*word(&r, r.p.cq_off.tail) == 20 && *word(&r, r.p.sq_off.head) == 20);
  *word(&r, r.p.cq_off.head) = 20;
}

// Debian's kernels, both, let everybody use it.
static void for_everybody(void) {
  char c;
  int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY);
  CHECK(fd >= 0 && read(fd, &c, 1) == 1 && c == '0');
  close(fd);
}

int main(void) {
  for_everybody();
  struct ring s;
  char set[8];
  make(&r, 4, 0, 0);
  make(&s, 4, 0, 0);
  CHECK(madvise(s.sqes, s.sqes_bytes, MADV_DONTFORK) == 0);
  unsigned *again = mmap(0, s.bytes, PROT_READ, MAP_SHARED, s.fd, IORING_OFF_CQ_RING);
  CHECK(again != MAP_FAILED && mprotect(s.at, s.bytes, PROT_READ) == 0);
  nops(&r, 17, 0);
  pid_t pid = child(other);
  moved();
  for (int i = 0; i < 3; i++) queue(&r, IORING_OP_NOP, i);
  CHECK(enter(&r, 3, 3) == 3);
  CHECK(kill(pid, SIGTERM) == 0);
  ends_well(pid);
  CHECK(unseen(&r) == 0);
  CHECK(mprotect(s.at, s.bytes, PROT_READ | PROT_WRITE) == 0);
  nops(&s, 5, 0);
  CHECK(again[s.p.cq_off.tail / 4] == 5);
  pid = fork();
  if (pid == 0) _exit(mincore(s.sqes, 4096, (void *)set) == -1 && errno == ENOMEM && mincore(s.at, 4096, (void *)set) == 0 ? 0 : 1);
  ends_well(pid);
  for_everybody();
  right();
}
