// Ids of processes go on after the last one that was given, not after the highest that is in use.
// fails: shape finish resume
#include "kind.h"

static pid_t beget(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  CHECK(pid > 0 && waitpid(pid, 0, 0) == pid);
  return pid;
}

int main(void) {
  pid_t last = 0;
  for (int i = 0; i < 20; i++) last = beget();
  moved();
  CHECK(beget() == last + 1);
  right();
}
