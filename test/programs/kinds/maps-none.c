// fails: finish resume
// Memory that nobody may touch now, with contents; memory that may only be written, or only be executed.
#include "kind.h"
#include <sys/mman.h>
#define PAGE 4096
int main(void) {
  char *p = mmap(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 64; i += 2) sprintf(p + i * PAGE, "page %d", i);
  CHECK(mprotect(p, 64 * PAGE, PROT_NONE) == 0);
  char *w = mmap(0, PAGE, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  w[5] = 'w';
  char *x = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  x[0] = 0x82, x[1] = 0x80; // ret
  CHECK(mprotect(x, PAGE, PROT_EXEC) == 0);
  char *s = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  strcpy(s + PAGE, "shared");
  CHECK(mprotect(s, 4 * PAGE, PROT_NONE) == 0);
  char *hole = mmap(0, 1UL << 36, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(hole != MAP_FAILED && mprotect(hole + (1UL << 35), 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
  strcpy(hole + (1UL << 35), "in the hole");
  CHECK(mprotect(hole + (1UL << 35), 2 * PAGE, PROT_NONE) == 0);
  moved();
  ((void (*)(void))x)();
  CHECK(mprotect(p, 64 * PAGE, PROT_READ | PROT_WRITE) == 0);
  char text[20];
  for (int i = 0; i < 64; i++) {
    sprintf(text, i % 2 ? "" : "page %d", i);
    CHECK(!strcmp(p + i * PAGE, text));
  }
  CHECK(mprotect(w, PAGE, PROT_READ) == 0 && w[5] == 'w');
  CHECK(mprotect(s, 4 * PAGE, PROT_READ | PROT_WRITE) == 0 && !strcmp(s + PAGE, "shared"));
  CHECK(mprotect(hole + (1UL << 35), PAGE, PROT_READ) == 0 && !strcmp(hole + (1UL << 35), "in the hole"));
  right();
}
