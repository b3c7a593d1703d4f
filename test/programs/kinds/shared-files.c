// A table of descriptors that a child and its child share with a process.
#include "shared.h"

static void grandchild(void) {
  // Shares with its parent, who shares with its own.
  pid_t pid = with(CLONE_FILES, obey);
  ends_well(pid);
}

int main(void) {
  char cwd[64];
  begin();
  pid_t deep = with(CLONE_FILES, grandchild);
  moved();
  order('o');
  CHECK(fcntl(77, F_GETFD) == 0 && close(77) == 0);
  order('d'), order('u');
  CHECK(strcmp(getcwd(cwd, sizeof cwd), "/") == 0 && umask(022) == 022);
  CHECK(write(ask[1], "e", 1) == 1);
  ends_well(deep);
  right();
}
