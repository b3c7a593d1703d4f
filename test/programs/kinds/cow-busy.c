// Processes that share pages since a fork, and write them all the time: pages stop being shared while the domain is being moved.
// Each finds what it has written itself, or what it began with.
// hops: 4
#include "cow.h"

#define PAGES 1024
#define CHILDREN 3

static char *memory;
static unsigned char turn_of[PAGES];

// Writes here and there, gives some up, and looks at all, until it is told to end.
static void work(int me) {
  unsigned random = me * 7919 + 1;
  for (int turn = 1; !told; turn++) {
    for (int n = 0; n < 3; n++) {
      random = random * 1103515245 + 12345;
      int page = (random >> 8) % PAGES;
      if (random % 16 == 0) {
        CHECK(madvise(memory + (long)page * PAGE, PAGE, MADV_DONTNEED) == 0);
        turn_of[page] = 255;
        continue;
      }
      turn_of[page] = 1 + turn % 200;
      stamp(memory, page, me * 1000 + turn_of[page]);
    }
    for (int i = turn % 16; i < PAGES; i += 16) {
      if (turn_of[i] == 255) CHECK(*(long *)(memory + (long)i * PAGE + 8) == 0);
      else CHECK(is_stamped(memory, i, turn_of[i] == 0 ? 0 : me * 1000 + turn_of[i]));
    }
    rest_ms(3);
  }
}

static void be_told(void) {
  struct sigaction act = {.sa_handler = tell};
  CHECK(sigaction(SIGTERM, &act, 0) == 0);
}

int main(void) {
  pid_t pids[CHILDREN];
  memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < PAGES; i++) stamp(memory, i, 0);
  be_told();
  for (int c = 0; c < CHILDREN; c++) {
    CHECK((pids[c] = fork()) >= 0);
    if (pids[c] == 0) {
      work(c + 1);
      _exit(0);
    }
  }
  printf("ready\n");
  fflush(stdout);
  work(9);
  for (int c = 0; c < CHILDREN; c++) CHECK(kill(pids[c], SIGTERM) == 0);
  for (int c = 0; c < CHILDREN; c++) ends_well(pids[c]);
  right();
}
