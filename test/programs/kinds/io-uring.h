// A ring of io_uring(7), by system calls only.
#pragma once
#include "kind.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// As in Linux 6.6.
#define NO_SQARRAY (1u << 16)

struct ring {
  int fd;
  struct io_uring_params p;
  char *at;
  size_t bytes, sqes_bytes;
  struct io_uring_sqe *sqes;
  unsigned tail;
};

static inline unsigned *word(struct ring *r, unsigned at) { return (unsigned *)(r->at + at); }

static inline void make(struct ring *r, unsigned entries, unsigned flags, unsigned cq_entries) {
  *r = (struct ring){.p = {.flags = flags, .cq_entries = cq_entries}};
  r->fd = syscall(SYS_io_uring_setup, entries, &r->p);
  CHECK(r->fd >= 0);
  size_t cqe = flags & IORING_SETUP_CQE32 ? 32 : 16, sqe = flags & IORING_SETUP_SQE128 ? 128 : 64;
  r->bytes = r->p.cq_off.cqes + r->p.cq_entries * cqe;
  if (!(flags & NO_SQARRAY)) r->bytes = r->p.sq_off.array + r->p.sq_entries * 4;
  r->sqes_bytes = r->p.sq_entries * sqe;
  r->at = mmap(0, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
  r->sqes = mmap(0, r->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
  CHECK(r->at != MAP_FAILED && r->sqes != MAP_FAILED);
}

// The next request, to be filled in; queued, but not submitted.
static inline struct io_uring_sqe *queue(struct ring *r, int opcode, uint64_t data) {
  unsigned head = __atomic_load_n(word(r, r->p.sq_off.head), __ATOMIC_ACQUIRE);
  CHECK(r->tail - head < r->p.sq_entries);
  unsigned i = r->tail & (r->p.sq_entries - 1);
  struct io_uring_sqe *e = (void *)((char *)r->sqes + i * (r->p.flags & IORING_SETUP_SQE128 ? 128 : 64));
  memset(e, 0, sizeof *e);
  e->opcode = opcode;
  e->user_data = data;
  if (!(r->p.flags & NO_SQARRAY)) word(r, r->p.sq_off.array)[i] = i;
  r->tail++;
  __atomic_store_n(word(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
  return e;
}

static inline int enter(struct ring *r, unsigned submit, unsigned complete) {
  return syscall(SYS_io_uring_enter, r->fd, submit, complete, complete > 0 ? IORING_ENTER_GETEVENTS : 0, 0, 8);
}

static inline unsigned unseen(struct ring *r) {
  return __atomic_load_n(word(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE) - *word(r, r->p.cq_off.head);
}

// The next completion must be this one.
static inline void sees(struct ring *r, uint64_t data, int result) {
  CHECK(unseen(r) > 0);
  unsigned *head = word(r, r->p.cq_off.head);
  size_t size = r->p.flags & IORING_SETUP_CQE32 ? 32 : 16;
  struct io_uring_cqe *c = (void *)(r->at + r->p.cq_off.cqes + (*head & (r->p.cq_entries - 1)) * size);
  CHECK(c->user_data == data && c->res == result);
  __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

static inline void nops(struct ring *r, unsigned count, uint64_t from) {
  for (unsigned done = 0; done < count;) {
    unsigned n = count - done < r->p.sq_entries ? count - done : r->p.sq_entries;
    for (unsigned i = 0; i < n; i++) queue(r, IORING_OP_NOP, from + done + i);
    CHECK(enter(r, n, n) == (int)n);
    for (unsigned i = 0; i < n; i++) sees(r, from + done + i, 0);
    done += n;
  }
}

// Writes into a pipe and reads from it.
static inline void works(struct ring *r, int turn) {
  static int fds[2] = {-1, -1};
  if (fds[0] < 0) CHECK(pipe(fds) == 0);
  char in[8] = "", out[8];
  sprintf(out, "%d", turn);
  struct io_uring_sqe *e = queue(r, IORING_OP_WRITE, 100 + turn);
  e->fd = fds[1], e->addr = (uint64_t)out, e->len = 8, e->off = -1;
  CHECK(enter(r, 1, 1) == 1);
  sees(r, 100 + turn, 8);
  e = queue(r, IORING_OP_READ, 200 + turn);
  e->fd = fds[0], e->addr = (uint64_t)in, e->len = 8, e->off = -1;
  CHECK(enter(r, 1, 1) == 1);
  sees(r, 200 + turn, 8);
  CHECK(strcmp(in, out) == 0);
}
