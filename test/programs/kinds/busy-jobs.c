// Processes that are stopped, continued and ended all the time, and parents that wait for each.
#include "busy.h"
static void stops(volatile uint64_t *turns) {
  int status; pid_t r;
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  errno = 0; status = 0;
  CHECK(kill(pid, SIGSTOP) == 0);
  r = waitpid(pid, &status, WUNTRACED);
  if (!(r == pid && WIFSTOPPED(status))) { printf("broken A: r %d pid %d status %x errno %d\n", r, pid, status, errno); fflush(stdout); _exit(1); }
  CHECK(kill(pid, SIGCONT) == 0);
  r = waitpid(pid, &status, WCONTINUED);
  if (!(r == pid && WIFCONTINUED(status))) { printf("broken B: r %d pid %d status %x errno %d\n", r, pid, status, errno); fflush(stdout); _exit(1); }
  CHECK(kill(pid, SIGTERM) == 0);
  r = waitpid(pid, &status, 0);
  if (!(r == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)) { printf("broken C: r %d pid %d status %x errno %d\n", r, pid, status, errno); fflush(stdout); _exit(1); }
  ++*turns;
}
int main(void) {
  void (*workers[])(volatile uint64_t *) = {stops, stops, stops, stops};
  all_busy(workers, 4, 0);
  right();
}
