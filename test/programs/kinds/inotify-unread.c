// An event that nobody reads cannot be made again.
// refused: unread inotify events
#include "file.h"
#include <sys/inotify.h>

int main(void) {
  char buf[512];
  own_folder("/tmp/inotify-unread");
  int fd = inotify_init();
  CHECK(fd >= 0 && inotify_add_watch(fd, "/tmp/inotify-unread", IN_CREATE) == 1);
  CHECK(mkdir("/tmp/inotify-unread/new", 0700) == 0);
  moved();
  CHECK(read(fd, buf, sizeof buf) > 0 && ((struct inotify_event *)buf)->mask == (IN_CREATE | IN_ISDIR));
  right();
}
