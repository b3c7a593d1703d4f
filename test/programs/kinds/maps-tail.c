// Mappings that reach behind the end of their file, whose tail other memory takes at once, as where a program is being started.
// hops: 4
#include "kind.h"
#include <sys/mman.h>

#define PAGES 64
#define PAGE 4096L
#define KIDS 2

static pid_t kids[KIDS];
static volatile sig_atomic_t over;
static void end(int signal) { over = 1; }

// What a dynamic loader does: all of a library is mapped, then its variables that begin with zero are put over the tail.
static void load(void) {
  signal(SIGUSR1, end);
  int fd = open("/proc/self/exe", O_RDONLY);
  struct stat s;
  CHECK(fd >= 0 && fstat(fd, &s) == 0);
  off_t last = (s.st_size - 1) & -PAGE;
  char *at = mmap(0, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  for (unsigned turn = 1; !over; turn++) {
    CHECK(mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, last) == at);
    at[0] = turn;
    usleep(1000);
    CHECK(mmap(at + PAGE, (PAGES - 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == at + PAGE);
    for (int i = 1; i < PAGES; i++) *(unsigned *)(at + i * PAGE) = turn;
    usleep(3000);
    CHECK(at[0] == (char)turn);
    for (int i = 1; i < PAGES; i++) CHECK(*(unsigned *)(at + i * PAGE) == turn);
  }
}

int main(void) {
  for (int i = 0; i < KIDS; i++) kids[i] = child(load);
  rest_ms(50);
  moved();
  for (int i = 0; i < KIDS; i++) CHECK(kill(kids[i], SIGUSR1) == 0);
  for (int i = 0; i < KIDS; i++) ends_well(kids[i]);
  right();
}
