// A working directory and a umask that a child shares with its parent; its descriptors are its own.
#include "shared.h"

int main(void) {
  char cwd[64];
  begin();
  pid_t pid = with(CLONE_FS, obey);
  moved();
  order('o');
  CHECK(fcntl(77, F_GETFD) == -1);
  order('d');
  CHECK(strcmp(getcwd(cwd, sizeof cwd), "/tmp") == 0);
  order('u');
  CHECK(umask(022) == 0123);
  CHECK(write(ask[1], "e", 1) == 1);
  ends_well(pid);
  right();
}
