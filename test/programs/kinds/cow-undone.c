// Pages that a parent and its children share since their forks, while moves fail and are undone: they are shared as before, with
// what they had, whoever lives then.
// fails: bear freeze shape files flip finish resume
#include "cow.h"

#define PAGES 256
enum { PARENT, CHILD, OTHER, PROCESSES };

static char *memory;
static struct board *board;
static struct kin before, now;

static void write_some(int remainder, long who) {
  for (int i = 0; i < PAGES; i++) if (i % 3 == remainder) stamp(memory, i, who);
}
static void check_all(long a, long b, long c) {
  for (int i = 0; i < PAGES; i++) CHECK(is_stamped(memory, i, i % 3 == 0 ? a : i % 3 == 1 ? b : c));
}
static void run_child(void) {
  write_some(1, CHILD);
  board->pids[CHILD] = getpid();
  made_step(board);
  until_told(0);
  check_all(0, CHILD, 0);
}
static void run_other(void) {
  write_some(1, OTHER);
  board->pids[OTHER] = getpid();
  made_step(board);
  until_told(0);
  check_all(0, OTHER, 5);
  write_some(0, 77);
}

int main(void) {
  board = board_made();
  board->pids[PARENT] = getpid();
  memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int r = 0; r < 3; r++) write_some(r, 0);
  pid_t first = child(run_child);
  await_steps(board, 1);
  write_some(2, 5);
  pid_t second = child(run_other);
  await_steps(board, 2);
  look_for_kin(&before, board->pids, PROCESSES, memory, PAGES);
  CHECK(shared_pages(&before, CHILD) == (PAGES + 2) / 3 && shared_pages(&before, OTHER) > PAGES / 2);
  moved();
  look_for_kin(&now, board->pids, PROCESSES, memory, PAGES);
  same_kin(&before, &now, PROCESSES);
  check_all(0, 0, 5);
  CHECK(kill(second, SIGTERM) == 0);
  ends_well(second);
  check_all(0, 0, 5);
  CHECK(kill(first, SIGTERM) == 0);
  ends_well(first);
  right();
}
