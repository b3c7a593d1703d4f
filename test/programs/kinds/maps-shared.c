// Shared anonymous memory: enlarged by mremap, moved, with holes, in a child at other places; beyond its end.
#include "kind.h"
#include <sys/mman.h>
#define PAGE 4096
int main(void) {
  char *a = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 8; i++) a[i * PAGE] = 'a' + i;
  char *there = mmap(0, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *b = mremap(a + 4 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);
  CHECK(b == there && munmap(a + PAGE, PAGE) == 0);
  // The same memory a second time.
  char *again = mremap(a, 0, 2 * PAGE, MREMAP_MAYMOVE);
  CHECK(again != MAP_FAILED && again[PAGE] == 'b');
  int tell[2], up[2];
  CHECK(pipe(tell) == 0 && pipe(up) == 0);
  pid_t other = fork();
  if (other == 0) {
    char c;
    CHECK(munmap(b, PAGE) == 0 && munmap(again, 2 * PAGE) == 0 && write(up[1], "x", 1) == 1);
    CHECK(read(tell[0], &c, 1) == 1);
    b[2 * PAGE] = 'X', a[0] = 'Y';
    _exit(0);
  }
  char c;
  CHECK(read(up[0], &c, 1) == 1);
  // Big and almost empty.
  char *large = mmap(0, 5UL << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(large != MAP_FAILED);
  large[(4UL << 30) + 7] = 'L';
  moved();
  CHECK(a[0] == 'a' && a[2 * PAGE] == 'c' && again[0] == 'a' && again[PAGE] == 'b' && b[0] == 'e' && b[3 * PAGE] == 'h');
  CHECK(write(tell[1], "x", 1) == 1);
  ends_well(other);
  CHECK(b[2 * PAGE] == 'X' && again[0] == 'Y' && large[(4UL << 30) + 7] == 'L' && large[0] == 0);
  right();
}
