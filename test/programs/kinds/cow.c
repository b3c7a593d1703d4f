// Pages that three generations share since their forks: each has what it had, and one frame stays one frame. What one of them
// writes nobody else sees.
// hops: 3
#include "cow.h"

#define PAGES 600
#define FILE_PAGES 16
enum { PARENT, ELDER, GRANDCHILD, YOUNGER, PROCESSES };

static char of_file[FILE_PAGES * PAGE] __attribute__((aligned(PAGE))) = {1};
static char *memory, *heap, *huge;
static struct board *board;
static struct kin memory_before, heap_before, huge_before, file_before, now;

// Who has written a page, as process `me` sees it; there are times at which all write: at a fork, and after it.
static long writer(int me, int page) {
  int who[] = {PARENT, PARENT, PARENT, PARENT};
  if (page % 6 == 1) who[ELDER] = who[GRANDCHILD] = ELDER;           // the child, before it had one of its own
  if (page % 6 == 2) who[PARENT] = who[YOUNGER] = 10;                // the parent, before it had the second
  if (page % 6 == 3) who[GRANDCHILD] = GRANDCHILD;
  if (page % 6 == 4) who[PARENT] = 11, who[ELDER] = ELDER, who[GRANDCHILD] = GRANDCHILD, who[YOUNGER] = YOUNGER;
  if (page % 6 == 5) who[ELDER] = 12;                                // the child, after it had one of its own
  return who[me];
}

static void write_some(char *at, int pages, int remainder, long who) {
  for (int i = 0; i < pages; i++) if (i % 6 == remainder) stamp(at, i, who);
}
static void write_everywhere(int remainder, long who) {
  write_some(memory, PAGES, remainder, who);
  write_some(heap, PAGES, remainder, who);
  write_some(huge, 512, remainder, who);
  write_some(of_file, FILE_PAGES, remainder, who);
}
static void check_all(int me) {
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(memory, i, writer(me, i)));
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(heap, i, writer(me, i)));
  for (int i = 0; i < 512; i++) CHECK(is_stamped(huge, i, writer(me, i)));
  for (int i = 0; i < FILE_PAGES; i++) CHECK(is_stamped(of_file, i, writer(me, i)));
}
// All write, one after the other, and see only what they have written.
static void write_apart(int me) {
  for (int i = 0; i < PAGES; i += 7) stamp(memory, i, 100 + me);
  for (int i = 0; i < PAGES; i += 7) stamp(heap, i, 200 + me);
  made_step(board);
  await_steps(board, 2 * PROCESSES);
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(memory, i, i % 7 == 0 ? 100 + me : writer(me, i)));
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(heap, i, i % 7 == 0 ? 200 + me : writer(me, i)));
}

static void go_on(int me) {
  until_told(0);
  check_all(me);
  write_apart(me);
}
static void grandchild(void) {
  board->pids[GRANDCHILD] = getpid();
  write_everywhere(3, GRANDCHILD);
  write_everywhere(4, GRANDCHILD);
  made_step(board);
  go_on(GRANDCHILD);
}
static void elder(void) {
  board->pids[ELDER] = getpid();
  write_everywhere(1, ELDER);
  pid_t own = child(grandchild);
  write_everywhere(4, ELDER);
  write_everywhere(5, 12);
  made_step(board);
  until_told(0);
  check_all(ELDER);
  CHECK(kill(own, SIGTERM) == 0);
  write_apart(ELDER);
  ends_well(own);
}
static void younger(void) {
  board->pids[YOUNGER] = getpid();
  write_everywhere(4, YOUNGER);
  made_step(board);
  go_on(YOUNGER);
}

static void look(struct kin *m, struct kin *h, struct kin *g, struct kin *f) {
  look_for_kin(m, board->pids, PROCESSES, memory, PAGES);
  look_for_kin(h, board->pids, PROCESSES, heap, PAGES);
  look_for_kin(g, board->pids, PROCESSES, huge, 512);
  look_for_kin(f, board->pids, PROCESSES, of_file, FILE_PAGES);
}

int main(void) {
  board = board_made();
  board->pids[PARENT] = getpid();
  memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  heap = sbrk(0);
  heap += -(uintptr_t)heap % PAGE;
  CHECK(brk(heap + PAGES * PAGE) == 0);
  huge = aligned_alloc(512 * PAGE, 512 * PAGE);
  madvise(huge, 512 * PAGE, MADV_HUGEPAGE);
  for (int r = 0; r < 6; r++) write_everywhere(r, PARENT);
  pid_t first = child(elder);
  await_steps(board, 2);
  write_everywhere(2, 10);
  pid_t second = child(younger);
  write_everywhere(4, 11);
  await_steps(board, 3);
  made_step(board);

  look(&memory_before, &heap_before, &huge_before, &file_before);
  // Not all are shared with the same.
  CHECK(shared_pages(&memory_before, ELDER) == 2 * PAGES / 6 && shared_pages(&memory_before, YOUNGER) == 5 * PAGES / 6);
  CHECK(shared_pages(&memory_before, GRANDCHILD) == 4 * PAGES / 6);
  moved();
  static struct kin heap_now, huge_now, file_now;
  look(&now, &heap_now, &huge_now, &file_now);
  check_all(PARENT);
  same_kin(&memory_before, &now, PROCESSES);
  same_kin(&heap_before, &heap_now, PROCESSES);
  same_kin(&huge_before, &huge_now, PROCESSES);
  same_kin(&file_before, &file_now, PROCESSES);
  CHECK(kill(first, SIGTERM) == 0 && kill(second, SIGTERM) == 0);
  write_apart(PARENT);
  ends_well(first);
  ends_well(second);
  right();
}
