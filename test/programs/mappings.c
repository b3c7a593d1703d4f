// Has as many mappings as its first argument says, each a page with contents of its own, and every second one read-only:
// `mappings 30000`. Looks at a different one each turn.
#include "domain.h"
#include <sys/mman.h>

int main(int argc, char **argv) {
  size_t count = argc > 1 ? strtoul(argv[1], 0, 10) : 1000;
  char *pages = mmap(0, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  for (size_t i = 0; i < count; i++) *(uint64_t *)(pages + i * 4096) = i * 0x9e3779b97f4a7c15;
  for (size_t i = 0; i < count; i += 2) CHECK(mprotect(pages + i * 4096, 4096, PROT_READ) == 0);
  for (uint64_t turn = 0;; turn++) {
    for (size_t i = 0; i < count; i++) CHECK(*(uint64_t *)(pages + i * 4096) == i * 0x9e3779b97f4a7c15);
    turn_done(turn);
    rest_ms(100);
  }
}
