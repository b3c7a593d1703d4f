// What the programs of kinds have in common: each makes one thing, is moved, and says whether it is still right.
//
//   int main(void) {
//     int fds[2];
//     CHECK(pipe(fds) == 0);
//     moved();                      // says that it is ready, and waits until it has been moved
//     CHECK(write(fds[1], "x", 1) == 1);
//     right();                      // says that all is as it was, and ends
//   }
//
// A first line `// refused: NAME` says that a move is refused by that name (a regular expression) before anything is frozen; the
// program must be right then too. `// late` says that it is only after the freeze. Lines `// layer: yes` and `// data: PATH` give the
// domain a layer over its root or a folder of its own. A line `// hops: N` says how often it is moved, if not there and back (2). A line
// `// fails: STEP STEP` has moves fail before these steps first, and be undone.
#pragma once
#include "../domain.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

static volatile sig_atomic_t told;
static void tell(int signal) { told = 1; }

// Waits until it is told by SIGTERM to go on; says that the program is ready before, if `ready`.
static inline void until_told(int ready) {
  sigset_t term, old;
  struct sigaction act = {.sa_handler = tell};
  CHECK(sigemptyset(&term) == 0 && sigaddset(&term, SIGTERM) == 0);
  CHECK(sigprocmask(SIG_BLOCK, &term, &old) == 0);
  CHECK(sigaction(SIGTERM, &act, 0) == 0);
  if (ready) {
    printf("ready\n");
    fflush(stdout);
  }
  sigset_t wait = old;
  sigdelset(&wait, SIGTERM);
  while (!told) sigsuspend(&wait);
  told = 0;
  CHECK(sigprocmask(SIG_SETMASK, &old, 0) == 0);
}

// Says that the program is ready, and waits until it is told by SIGTERM that it has been moved. Not for its children: they
// wait by `until_told(0)`, and their parent kills them with SIGTERM when they are to go on.
static inline void moved(void) { until_told(1); }

static inline void right(void) {
  printf("right\n");
  fflush(stdout);
  _exit(0);
}

// Runs `work` in a child that is told when to go on; ends with it when it ends wrongly.
static inline pid_t child(void (*work)(void)) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    work();
    _exit(0);
  }
  return pid;
}

// The child ends by itself, with that code.
static inline void ends_well_with(pid_t pid, int code) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != code) printf("broken: a child has ended with status 0x%x\n", status);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}
static inline void ends_well(pid_t pid) { ends_well_with(pid, 0); }
