// Stacks that grow: the process's own, and one that a program made.
#include "kind.h"
#include <sys/mman.h>
#define PAGE 4096
static __attribute__((noinline)) int deep(int n) {
  volatile char room[3000];
  room[0] = n;
  return n == 0 ? 0 : deep(n - 1) + (room[0] != (char)n);
}
int main(void) {
  char *space = mmap(0, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(munmap(space, 4096 * PAGE) == 0);
  char *top = space + 4000 * PAGE;
  CHECK(mmap(top - 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0) == top - 2 * PAGE);
  for (int i = 1; i < 10; i++) top[-i * PAGE] = 'a' + i;
  moved();
  for (int i = 1; i < 10; i++) CHECK(top[-i * PAGE] == 'a' + i);
  for (int i = 10; i < 50; i++) top[-i * PAGE] = 'a' + i;
  CHECK(deep(1000) == 0);
  right();
}
