// Memory that is mapped, written, protected, moved and given back all the time, by itself and by children, and a word that two
// processes wait for.
#include "busy.h"
#include <linux/futex.h>
#include <sys/syscall.h>

#define MIB (1 << 20)

static void maps(volatile uint64_t *turns) {
  unsigned char *p = mmap(0, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  for (int i = 0; i < 2 * MIB; i += 4096) p[i] = i >> 12;
  CHECK(munmap(p + MIB, 64 * 4096) == 0);
  CHECK(mprotect(p, MIB, PROT_READ) == 0);
  for (int i = 0; i < MIB; i += 4096) CHECK(p[i] == (unsigned char)(i >> 12));
  CHECK(madvise(p + MIB + MIB / 2, MIB / 4, MADV_DONTNEED) == 0 && p[MIB + MIB / 2] == 0);
  unsigned char *q = mremap(p, MIB, 4 * MIB, MREMAP_MAYMOVE);
  CHECK(q != MAP_FAILED && q[4096 * 5] == 5);
  CHECK(munmap(q, 4 * MIB) == 0 && (q == p || munmap(p + MIB, MIB) == 0));
  ++*turns;
}

static void grows(volatile uint64_t *turns) {
  char *end = sbrk(0);
  CHECK(sbrk(300000) == end);
  memset(end, 7, 300000);
  for (int i = 0; i < 300000; i += 999) CHECK(end[i] == 7);
  CHECK(brk(end) == 0);
  ++*turns;
}

static void begets(volatile uint64_t *turns) {
  static int value[40000];
  for (int i = 0; i < 40000; i += 512) value[i] = *turns;
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 40000; i += 512) {
      CHECK(value[i] == (int)*turns);
      value[i] = -1;
    }
    _exit(3);
  }
  ends_well_with(pid, 3);
  for (int i = 0; i < 40000; i += 512) CHECK(value[i] == (int)*turns);
  ++*turns;
}

// Two of them hand a word to each other.
static uint32_t *word;
static void hands_over(uint32_t mine) {
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != mine && !busy->enough) {
    struct timespec t = {1, 0};
    CHECK(syscall(SYS_futex, word, FUTEX_WAIT, !mine, &t, 0, 0) == 0 || errno == EAGAIN || errno == ETIMEDOUT);
  }
  __atomic_store_n(word, !mine, __ATOMIC_RELEASE);
  CHECK(syscall(SYS_futex, word, FUTEX_WAKE, 1, 0, 0, 0) >= 0);
}
static void one(volatile uint64_t *turns) { hands_over(0), ++*turns; }
static void other(volatile uint64_t *turns) { hands_over(1), ++*turns; }

int main(void) {
  word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(word != MAP_FAILED);
  void (*workers[])(volatile uint64_t *) = {maps, grows, begets, one, other};
  all_busy(workers, 5, 0);
  right();
}
