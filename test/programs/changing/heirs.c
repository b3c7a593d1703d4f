// As many mappings as its first argument says, each a page, which as many processes as its second says have in common with it.
#include "../domain.h"
#include <sys/mman.h>

int main(int argc, char **argv) {
  CHECK(argc == 3);
  size_t count = strtoul(argv[1], 0, 10);
  char *pages = mmap(0, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  for (size_t i = 0; i < count; i++) *(uint64_t *)(pages + i * 4096) = i;
  for (size_t i = 0; i < count; i += 2) CHECK(mprotect(pages + i * 4096, 4096, PROT_READ) == 0);
  for (int i = 0; i < atoi(argv[2]); i++)
    if (fork() == 0) for (;;) pause();
  for (uint64_t turn = 0;; turn++) {
    for (size_t i = 0; i < count; i++) CHECK(*(uint64_t *)(pages + i * 4096) == i);
    turn_done(turn);
    rest_ms(100);
  }
}
