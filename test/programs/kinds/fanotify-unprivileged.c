// Who is not privileged is told less, which no group that is made for it would know.
// refused: ^fanotify of who is not privileged$
#include "file.h"
#include <sys/fanotify.h>

int main(void) {
  own_folder("/tmp/fanotify-unprivileged");
  CHECK(setgid(1000) == 0 && setuid(1000) == 0);
  int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
  CHECK(fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_CREATE, AT_FDCWD, "/tmp/fanotify-unprivileged") == 0);
  moved();
  right();
}
