// fails: shape files finish resume
// Watches of a folder, of a file in it, of a deleted file, of a link and of what it leads to, with numbers that are far apart; nothing that
// the move does is told.
#include "file.h"
#include <sys/inotify.h>

#define DIR_ "/tmp/inotify"

static char buf[4096] __attribute__((aligned(8)));
static int length;

// The next event.
static struct inotify_event *next(int fd) {
  static int at;
  if (at >= length) {
    length = read(fd, buf, sizeof buf);
    at = 0;
    if (length <= 0) return 0;
  }
  struct inotify_event *e = (void *)(buf + at);
  at += sizeof *e + e->len;
  return e;
}

int main(void) {
  own_folder(DIR_);
  int file = open(DIR_ "/file", O_RDWR | O_CREAT, 0600), gone = open(DIR_ "/gone", O_RDWR | O_CREAT, 0600);
  CHECK(file >= 0 && gone >= 0);
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), empty = inotify_init();
  CHECK(fd >= 0 && empty >= 0);
  int folder = inotify_add_watch(fd, DIR_, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
  int wds[3];
  for (int i = 0; i < 300; i++) CHECK(inotify_rm_watch(fd, inotify_add_watch(fd, "/", IN_CREATE)) == 0);
  wds[0] = inotify_add_watch(fd, DIR_ "/file", IN_ALL_EVENTS);
  wds[1] = inotify_add_watch(fd, DIR_ "/gone", IN_MODIFY);
  wds[2] = inotify_add_watch(fd, "/", IN_DELETE_SELF | IN_CREATE | IN_ONESHOT | IN_ONLYDIR);
  // Of what a link leads to, and of the link itself: the number between them is skipped.
  int led = inotify_add_watch(fd, "/usr/bin", IN_CREATE);
  CHECK(led == 305 && inotify_rm_watch(fd, inotify_add_watch(fd, "/usr", IN_CREATE)) == 0);
  int link = inotify_add_watch(fd, "/bin", IN_DELETE_SELF | IN_DONT_FOLLOW);
  CHECK(link == 307);
  CHECK(folder == 1 && wds[0] == 302 && wds[1] == 303 && wds[2] == 304);
  CHECK(unlink(DIR_ "/gone") == 0);
  while (next(fd)) {}
  moved();
  CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(empty, F_GETFL) & O_NONBLOCK) == 0);
  struct inotify_event *e = next(fd);
  CHECK(e == 0 && errno == EAGAIN);
  CHECK(write(file, "x", 1) == 1);
  CHECK((e = next(fd)) && e->wd == wds[0] && e->mask == IN_MODIFY && e->len == 0);
  CHECK(write(gone, "x", 1) == 1);
  CHECK((e = next(fd)) && e->wd == wds[1] && e->mask == IN_MODIFY);
  CHECK(mkdir(DIR_ "/new", 0700) == 0);
  CHECK((e = next(fd)) && e->wd == folder && e->mask == (IN_CREATE | IN_ISDIR) && strcmp(e->name, "new") == 0);
  CHECK(rename(DIR_ "/file", DIR_ "/other") == 0);
  CHECK((e = next(fd)) && e->mask == IN_MOVED_FROM && strcmp(e->name, "file") == 0);
  CHECK((e = next(fd)) && e->mask == IN_MOVED_TO && strcmp(e->name, "other") == 0);
  CHECK((e = next(fd)) && e->wd == wds[0] && e->mask == IN_MOVE_SELF);
  CHECK(inotify_rm_watch(fd, wds[0]) == 0 && (e = next(fd)) && e->wd == wds[0] && e->mask == IN_IGNORED);
  CHECK(mkdir("/inotify-once", 0700) == 0 && rmdir("/inotify-once") == 0);
  CHECK((e = next(fd)) && e->wd == wds[2] && e->mask == (IN_CREATE | IN_ISDIR));
  CHECK((e = next(fd)) && e->wd == wds[2] && e->mask == IN_IGNORED);
  for (int i = 0; i < 2; i++) {
    int wd = i ? link : led;
    CHECK(inotify_rm_watch(fd, wd) == 0 && (e = next(fd)) && e->wd == wd && e->mask == IN_IGNORED);
  }
  right();
}
