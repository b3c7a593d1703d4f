// Pages that processes share whose common parent has ended: siblings, and one whose grandparent is left. What they share stays
// shared, and nobody sees what another writes.
#include "cow.h"

#define PAGES 128
enum { FIRST, LEFT, RIGHT, BELOW, PROCESSES };

static char *memory;
static struct board *board;
static struct kin before, now;

static int me;
static long writer(int page) {
  if (page % 4 == 1) return 10;                      // the one in the middle, for all its children
  if (page % 4 == 2) return me == LEFT ? LEFT : 0;
  if (page % 4 == 3) return 20 + (me == BELOW ? RIGHT : me);
  return 0;
}
static void write_some(int remainder, long who) {
  for (int i = 0; i < PAGES; i++) if (i % 4 == remainder) stamp(memory, i, who);
}
static void go_on(void) {
  board->pids[me] = getpid();
  made_step(board);
  until_told(0);
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(memory, i, writer(i)));
  for (int i = 0; i < PAGES; i++) stamp(memory, i, 100 + me);
  made_step(board);
  await_steps(board, PROCESSES - 1 + 3);
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(memory, i, 100 + me));
  made_step(board);
}

int main(void) {
  board = board_made();
  board->pids[FIRST] = getpid();
  memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int r = 0; r < 4; r++) write_some(r, 0);
  pid_t middle = fork();
  if (middle == 0) {
    write_some(1, 10);
    if (fork() == 0) {
      me = LEFT;
      write_some(2, LEFT);
      write_some(3, 20 + LEFT);
      go_on();
      _exit(0);
    }
    if (fork() == 0) {
      me = RIGHT;
      write_some(3, 20 + RIGHT);
      if (fork() == 0) me = BELOW;
      go_on();
      _exit(0);
    }
    _exit(0);
  }
  ends_well(middle);
  await_steps(board, 3);
  write_some(3, 20);
  look_for_kin(&before, board->pids, PROCESSES, memory, PAGES);
  CHECK(shared_pages(&before, LEFT) == PAGES / 4 && shared_pages(&before, RIGHT) == 3 * PAGES / 4);
  CHECK(shared_pages(&before, BELOW) == PAGES);
  moved();
  look_for_kin(&now, board->pids, PROCESSES, memory, PAGES);
  same_kin(&before, &now, PROCESSES);
  for (int p = LEFT; p < PROCESSES; p++) CHECK(kill(board->pids[p], SIGTERM) == 0);
  await_steps(board, 9);
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(memory, i, i % 4 == 3 ? 20 : 0));
  right();
}
