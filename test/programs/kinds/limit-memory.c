// A process that may have no more memory than it has.
// refused: limit of memory
#include "kind.h"
#include <sys/mman.h>
#include <sys/resource.h>

int main(void) {
  struct rlimit now = {0, 0};
  unsigned long pages;
  // The first number of it: all that is mapped.
  FILE *f = fopen("/proc/self/statm", "r");
  CHECK(f && fscanf(f, "%lu", &pages) == 1 && fclose(f) == 0);
  now.rlim_cur = now.rlim_max = (pages + 8) * 4096;
  CHECK(setrlimit(RLIMIT_AS, &now) == 0);
  moved();
  CHECK(mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
  right();
}
