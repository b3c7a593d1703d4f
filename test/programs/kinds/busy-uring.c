// Rings of io_uring in use all the time: a file written and read, in part by threads of the kernel; rings that are made and closed.
// data: /busy-uring
#include "busy.h"
#include "io-uring.h"

static struct ring own;
static int file = -1;

// All that was submitted is done. A call that submits may come back early, as it does at any stop.
static void done(struct ring *r, unsigned count) {
  CHECK(enter(r, count, count) == (int)count);
  while (unseen(r) < count) CHECK(enter(r, 0, count) == 0);
}

// In any order.
static void seen(struct ring *r, unsigned count, uint64_t from, int result) {
  unsigned all = 0, *head = word(r, r->p.cq_off.head);
  for (unsigned i = 0; i < count; i++) {
    struct io_uring_cqe *c = (void *)(r->at + r->p.cq_off.cqes);
    c += (*head + i) & (r->p.cq_entries - 1);
    CHECK(c->res == result && c->user_data - from < count);
    all |= 1u << (c->user_data - from);
  }
  CHECK(all == (1u << count) - 1);
  __atomic_store_n(head, *head + count, __ATOMIC_RELEASE);
}

static void works_on(volatile uint64_t *turns, int flags, const char *name) {
  static uint64_t out[8][64], in[8][64];
  if (file < 0) {
    make(&own, 16, NO_SQARRAY, 0);
    file = open(name, O_CREAT | O_RDWR, 0600);
    CHECK(file >= 0);
  }
  for (int op = 0; op < 2; op++) {
    for (int i = 0; i < 8; i++) {
      for (int k = 0; k < 64 && op == 0; k++) out[i][k] = *turns * 1000 + i * 64 + k;
      struct io_uring_sqe *e = queue(&own, op == 0 ? IORING_OP_WRITE : IORING_OP_READ, *turns * 10 + i);
      e->fd = file, e->addr = (uint64_t)(op == 0 ? out[i] : in[i]), e->len = 512, e->off = i * 512, e->flags = flags;
    }
    done(&own, 8);
    seen(&own, 8, *turns * 10, 512);
  }
  CHECK(memcmp(in, out, sizeof in) == 0);
  ++*turns;
}

static void writes(volatile uint64_t *turns) { works_on(turns, 0, "/busy-uring/a"); }

static void has_written(volatile uint64_t *turns) {
  works_on(turns, IOSQE_ASYNC, "/busy-uring/b");
  rest_ms(3);
}

static void rests(volatile uint64_t *turns) {
  works_on(turns, 0, "/busy-uring/c");
  rest_ms(2);
}

static void makes(volatile uint64_t *turns) {
  struct ring r;
  make(&r, 1 << (*turns % 5), *turns % 2 ? NO_SQARRAY : 0, 0);
  nops(&r, *turns % 50, *turns);
  CHECK(munmap(r.at, r.bytes) == 0 && munmap(r.sqes, r.sqes_bytes) == 0 && close(r.fd) == 0);
  rest_ms(20);
  ++*turns;
}

int main(void) {
  void (*workers[])(volatile uint64_t *) = {writes, has_written, rests, makes};
  all_busy(workers, 4, 0);
  right();
}
