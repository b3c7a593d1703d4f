// Memory of every sort, and a process's own changes to it: pages shared with a child since fork, pages of zeros,
// huge pages, holes, reservations, read-only and executable memory, a mapping that comes and goes.
#include "domain.h"
#include <sys/mman.h>
#include <sys/wait.h>

#define MIB (1 << 20)

// What has been told the kernel about a mapping, as /proc shows it.
static int has_flag(const void *at, const char *flag) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[512], wanted[24];
  int here = 0, found = 0;
  snprintf(wanted, sizeof wanted, "%lx-", (unsigned long)at);
  CHECK(f != 0);
  while (fgets(line, sizeof line, f)) {
    if (strstr(line, wanted) == line) here = 1;
    else if (here && strncmp(line, "VmFlags:", 8) == 0) { found = strstr(line, flag) != 0; break; }
  }
  fclose(f);
  return found;
}

int main(void) {
  char *inherited = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < MIB; i++) inherited[i] = i * 7;
  char *huge = aligned_alloc(2 * MIB, 4 * MIB);
  madvise(huge, 4 * MIB, MADV_HUGEPAGE);
  for (int i = 0; i < 4 * MIB; i += 512) huge[i] = i >> 9;
  char *zeros = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < MIB; i += 4096) CHECK(zeros[i] == 0); // the zero page
  char *sparse = mmap(0, 1L << 32, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (long i = 0; i < 1L << 32; i += 1L << 28) sparse[i] = i >> 28;
  char *reserved = mmap(0, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mprotect(reserved + MIB, MIB, PROT_READ | PROT_WRITE) == 0);
  memset(reserved + MIB, 0x5a, MIB);
  char *constant = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(constant, 0x33, 16384);
  CHECK(mprotect(constant, 16384, PROT_READ) == 0);
  // li a0, 42; ret
  uint32_t code[] = {0x02a00513, 0x00008067};
  char *function = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(function, code, sizeof code);
  CHECK(mprotect(function, 4096, PROT_READ | PROT_EXEC) == 0);
  __builtin___clear_cache(function, function + sizeof code);
  char *secret = mmap(0, 32768, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(secret, 0x77, 32768);
  CHECK(mlock(secret, 32768) == 0);

  int child = fork() == 0;
  char own = child ? 11 : 22;
  for (int i = 0; i < MIB; i += 8192) inherited[i] = own;
  // Locks are not inherited.
  if (child) CHECK(mlock(secret, 32768) == 0);
  CHECK(madvise(secret, 32768, MADV_DONTFORK) == 0 && madvise(secret, 32768, MADV_DONTDUMP) == 0);
  CHECK(madvise(zeros, MIB, MADV_NOHUGEPAGE) == 0);
  for (uint64_t turn = 0;; turn++) {
    for (int i = 0; i < MIB; i++) CHECK(inherited[i] == (i % 8192 == 0 ? own : (char)(i * 7)));
    for (int i = 0; i < 4 * MIB; i += 512) CHECK(huge[i] == (char)(i >> 9));
    for (int i = 0; i < MIB; i += 4096) CHECK(zeros[i] == 0);
    for (long i = 0; i < 1L << 32; i += 1L << 28) CHECK(sparse[i] == i >> 28 && sparse[i + 8192] == 0);
    for (int i = 0; i < MIB; i += 64) CHECK(reserved[MIB + i] == 0x5a);
    for (int i = 0; i < 16384; i++) CHECK(constant[i] == 0x33);
    CHECK(((int (*)(void))function)() == 42);
    CHECK(secret[turn % 32768] == 0x77);
    if (turn % 4 == 0) {
      CHECK(has_flag(secret, " lo") && has_flag(secret, " dc") && has_flag(secret, " dd"));
      CHECK(has_flag(zeros, " nh") && has_flag(huge, " hg") && !has_flag(constant, " lo"));
    }
    char *passing = mmap(0, (turn % 5 + 1) * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(passing, turn, 65536);
    rest_ms(30);
    for (int i = 0; i < 65536; i++) CHECK(passing[i] == (char)turn);
    munmap(passing, (turn % 5 + 1) * 65536);
    if (!child) turn_done(turn);
  }
}
