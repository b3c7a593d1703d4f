// A watch of an empty folder of the shared root that the program has made: only this OS instance has it.
// refused: /tmp/watched-here
#include "kind.h"
#include <sys/inotify.h>

int main(void) {
  CHECK(mkdir("/tmp/watched-here", 0755) == 0);
  int fd = inotify_init1(IN_NONBLOCK);
  CHECK(inotify_add_watch(fd, "/tmp/watched-here", IN_CREATE) == 1);
  moved();
  CHECK(rmdir("/tmp/watched-here") == 0);
  right();
}
