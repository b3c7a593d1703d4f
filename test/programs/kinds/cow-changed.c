// Memory that a parent and its child share since a fork, of which the child has changed its mappings: parts are gone, moved,
// mapped anew, protected, locked or grown. Each has what it had; what both still share stays shared.
#include "cow.h"

#define PAGES 96
enum { PARENT, CHILD, PROCESSES };
enum { SAME, UNMAPPED, MOVED, ANEW, GIVEN_UP, READABLE, CLOSED, LOCKED, OF_FILE, GROWN, APART, SHARED_NOW, PLACES };

static char *place[PLACES], *moved_to;
static struct board *board;
static struct kin before[PLACES], now[PLACES];

static void check_place(char *at, long who) {
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(at, i, who));
}
static void check_zeros(char *at) {
  for (int i = 0; i < PAGES; i++) CHECK(*(long *)(at + i * PAGE) == 0);
}

// How many mappings of the process lie in a place, as the kernel counts.
static int mappings_in(char *at, int pages) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[512];
  int n = 0;
  CHECK(f != 0);
  while (fgets(line, sizeof line, f)) {
    unsigned long start, end;
    if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < (unsigned long)at + pages * PAGE && end > (unsigned long)at) n++;
  }
  fclose(f);
  return n;
}

static int maps_before[PLACES];
static void count_maps(int *out) {
  for (int p = 0; p < PLACES; p++) out[p] = mappings_in(place[p], PAGES);
}
static void check_maps(void) {
  int maps_now[PLACES];
  count_maps(maps_now);
  for (int p = 0; p < PLACES; p++) CHECK(maps_now[p] == maps_before[p]);
}

static void run_child(void) {
  size_t size = PAGES * PAGE;
  CHECK(munmap(place[UNMAPPED], size) == 0);
  // Away from where it was, and to where the parent has nothing.
  moved_to = mmap(0, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mremap(place[MOVED], size, size, MREMAP_MAYMOVE | MREMAP_FIXED, moved_to + size) == moved_to + size);
  CHECK(mmap(place[ANEW], size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == place[ANEW]);
  for (int i = 0; i < PAGES; i++) stamp(place[ANEW], i, 7);
  CHECK(madvise(place[GIVEN_UP], size, MADV_DONTNEED) == 0);
  CHECK(mprotect(place[READABLE], size / 2, PROT_READ) == 0);
  CHECK(mprotect(place[CLOSED], size / 2, PROT_NONE) == 0);
  // The parent has locked it; locks are not inherited. To lock memory that may be written would be to have pages of one's own.
  CHECK(mlock(place[LOCKED], 8 * PAGE) == 0);
  // Its own pages of the file are given up: it sees the file again.
  CHECK(madvise(place[OF_FILE], size / 2, MADV_DONTNEED) == 0);
  CHECK(mmap(place[GROWN] + size, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
  stamp(place[GROWN] + size, 0, 9);
  for (int i = 0; i < PAGES; i++) stamp(place[APART], i, 8);
  CHECK(mmap(place[SHARED_NOW], size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
  stamp(place[SHARED_NOW], 3, 6);
  count_maps(maps_before);
  board->pids[CHILD] = getpid();
  made_step(board);
  until_told(0);
  check_maps();
  check_place(place[SAME], 1);
  check_place(moved_to + size, 1);
  check_place(place[ANEW], 7);
  check_zeros(place[GIVEN_UP]);
  check_place(place[READABLE], 1);
  CHECK(mprotect(place[CLOSED], size / 2, PROT_READ) == 0);
  check_place(place[CLOSED], 1);
  check_place(place[LOCKED], 1);
  int file = open("/proc/self/exe", O_RDONLY);
  static char page[PAGE];
  for (int i = 0; i < PAGES; i++) {
    CHECK(pread(file, page, PAGE, i * PAGE) == PAGE);
    CHECK(i < PAGES / 2 ? memcmp(place[OF_FILE] + i * PAGE, page, PAGE) == 0 : is_stamped(place[OF_FILE], i, 1));
  }
  check_place(place[GROWN], 1);
  CHECK(is_stamped(place[GROWN] + size, 0, 9) && mappings_in(place[GROWN], 2 * PAGES) <= 2);
  check_place(place[APART], 8);
  CHECK(is_stamped(place[SHARED_NOW], 3, 6));
  // What was one mapping still is: it can be moved in one piece.
  CHECK(mremap(place[SAME], size, size, MREMAP_MAYMOVE | MREMAP_FIXED, moved_to) == moved_to);
  for (int i = 0; i < PAGES; i++) stamp(moved_to, i, 5);
  made_step(board);
}

int main(void) {
  board = board_made();
  board->pids[PARENT] = getpid();
  size_t size = PAGES * PAGE;
  int file = open("/proc/self/exe", O_RDONLY);
  CHECK(file >= 0);
  for (int p = 0; p < PLACES; p++) {
    // Apart, so that each is a mapping of its own.
    place[p] = mmap(0, 4 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    place[p] += size;
    int flags = MAP_PRIVATE | MAP_FIXED | (p == OF_FILE ? 0 : MAP_ANONYMOUS);
    CHECK(mmap(place[p], size, PROT_READ | PROT_WRITE, flags, p == OF_FILE ? file : -1, 0) == place[p]);
    for (int i = 0; i < PAGES; i++) stamp(place[p], i, 1);
  }
  close(file);
  CHECK(mprotect(place[LOCKED], size, PROT_READ) == 0 && mlock(place[LOCKED], size) == 0);
  pid_t pid = child(run_child);
  await_steps(board, 1);
  count_maps(maps_before);
  for (int p = 0; p < PLACES; p++) look_for_kin(&before[p], board->pids, PROCESSES, place[p], PAGES);
  int all[] = {SAME, READABLE, CLOSED, LOCKED, GROWN};
  for (int i = 0; i < 5; i++) CHECK(shared_pages(&before[all[i]], CHILD) == PAGES);
  CHECK(shared_pages(&before[OF_FILE], CHILD) == PAGES / 2 && shared_pages(&before[APART], CHILD) == 0);
  moved();
  for (int p = 0; p < PLACES; p++) look_for_kin(&now[p], board->pids, PROCESSES, place[p], PAGES);
  for (int p = 0; p < PLACES; p++) check_place(place[p], 1);
  for (int p = 0; p < PLACES; p++) if (p != GIVEN_UP && p != OF_FILE && p != SHARED_NOW) same_kin(&before[p], &now[p], PROCESSES);
  CHECK(shared_pages(&now[OF_FILE], CHILD) == PAGES / 2 && shared_pages(&now[GIVEN_UP], CHILD) + shared_pages(&now[SHARED_NOW], CHILD) == 0);
  check_maps();
  CHECK(kill(pid, SIGTERM) == 0);
  await_steps(board, 2);
  for (int p = 0; p < PLACES; p++) check_place(place[p], 1);
  ends_well(pid);
  right();
}
