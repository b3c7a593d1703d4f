// Who decides what others may do would be asked by the move itself, while it cannot answer.
// refused: ^fanotify that decides what others may do$
#include "file.h"
#include <sys/fanotify.h>

int main(void) {
  own_folder("/tmp/fanotify-decides");
  int file = open("/tmp/fanotify-decides/file", O_RDWR | O_CREAT, 0600);
  int fd = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
  CHECK(file >= 0 && fd >= 0);
  CHECK(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "/tmp/fanotify-decides/file") == 0);
  moved();
  right();
}
