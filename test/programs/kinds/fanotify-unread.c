// An event that nobody reads cannot be made again.
// refused: ^unread fanotify events$
#include "file.h"
#include <sys/fanotify.h>

int main(void) {
  struct fanotify_event_metadata e[8];
  own_folder("/tmp/fanotify-unread");
  int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
  CHECK(fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR, AT_FDCWD, "/tmp/fanotify-unread") == 0);
  CHECK(mkdir("/tmp/fanotify-unread/new", 0700) == 0);
  moved();
  CHECK(read(fd, e, sizeof e) > 0 && e[0].mask == (FAN_CREATE | FAN_ONDIR));
  right();
}
