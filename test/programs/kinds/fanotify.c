// Groups of fanotify: with files that are opened for who is told, and with names; marks of a file, a deleted file, folders, a mount and a
// file system, with what is ignored; nothing that the move does is told.
// fails: shape finish resume
#include "file.h"
#include <sys/fanotify.h>
#include <sys/mount.h>

#define DIR_ "/tmp/fanotify"
#define MINE "/mnt/fanotify"

static char buf[4096] __attribute__((aligned(8)));
static int length, at;

// The next event.
static struct fanotify_event_metadata *next(int fd) {
  if (at >= length) {
    length = read(fd, buf, sizeof buf);
    at = 0;
    if (length <= 0) return 0;
  }
  struct fanotify_event_metadata *e = (void *)(buf + at);
  CHECK(e->vers == FANOTIFY_METADATA_VERSION);
  at += e->event_len;
  return e;
}

static void nothing(int fd) { CHECK(next(fd) == 0 && errno == EAGAIN); }

// What the kernel says of it, but for numbers that are its own.
static void marks(int fd, char *to) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *f = fopen(path, "r");
  CHECK(f);
  *to = 0;
  while (fgets(line, sizeof line, f)) {
    if (strncmp(line, "fanotify ", 9)) continue;
    char *mflags = strstr(line, "mflags:"), *handle = strstr(line, " fhandle");
    if (handle) strcpy(handle, "\n");
    strcat(to, mflags ? mflags : line);
  }
  CHECK(fclose(f) == 0);
}

static void mark(int fd, unsigned flags, uint64_t mask, const char *path) { CHECK(fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path) == 0); }

int main(void) {
  char before[2][2000], after[2000];
  own_folder(DIR_);
  mkdir("/mnt", 0755);
  mkdir(MINE, 0755);
  CHECK(mount("mine", MINE, "tmpfs", 0, "") == 0);
  int file = open(DIR_ "/file", O_RDWR | O_CREAT, 0600), gone = open(DIR_ "/gone", O_RDWR | O_CREAT, 0600);
  int mine = open(MINE "/file", O_RDWR | O_CREAT, 0600), quiet = open(MINE "/quiet", O_RDWR | O_CREAT, 0600);
  CHECK(file >= 0 && gone >= 0 && mine >= 0 && quiet >= 0);
  int opens = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS, O_RDONLY | O_NOATIME);
  int names = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, O_RDWR);
  CHECK(opens >= 0 && names >= 0);
  mark(opens, 0, FAN_MODIFY | FAN_CLOSE_WRITE, DIR_ "/file");
  mark(opens, 0, FAN_MODIFY, DIR_ "/gone");
  mark(opens, FAN_MARK_MOUNT, FAN_MODIFY | FAN_OPEN | FAN_ACCESS | FAN_CLOSE, MINE);
  mark(opens, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY, MINE "/quiet");
  mark(names, FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_ONDIR, MINE);
  mark(names, 0, FAN_DELETE | FAN_EVENT_ON_CHILD | FAN_ONDIR, DIR_);
  CHECK(unlink(DIR_ "/gone") == 0);
  while (next(opens)) {}
  CHECK(next(names) && fcntl(names, F_SETFL, O_NONBLOCK) == 0);
  nothing(names);
  CHECK(fcntl(names, F_SETFL, 0) == 0);
  marks(opens, before[0]), marks(names, before[1]);

  moved();

  marks(opens, after);
  CHECK(strcmp(after, before[0]) == 0);
  marks(names, after);
  CHECK(strcmp(after, before[1]) == 0);
  CHECK(fcntl(opens, F_GETFD) == FD_CLOEXEC && (fcntl(opens, F_GETFL) & O_NONBLOCK) && (fcntl(names, F_GETFL) & O_NONBLOCK) == 0);
  CHECK(fcntl(names, F_SETFL, O_NONBLOCK) == 0);
  nothing(opens), nothing(names);
  struct fanotify_event_metadata *e;
  CHECK(write(file, "x", 1) == 1 && (e = next(opens)) && e->mask == FAN_MODIFY && e->pid == getpid());
  CHECK(e->fd >= 0 && same_file(stat_of(e->fd), stat_of(file)) && (fcntl(e->fd, F_GETFL) & O_ACCMODE) == O_RDONLY && (fcntl(e->fd, F_GETFL) & O_NOATIME));
  CHECK(close(e->fd) == 0);
  CHECK(write(gone, "x", 1) == 1 && (e = next(opens)) && e->mask == FAN_MODIFY && same_file(stat_of(e->fd), stat_of(gone)) && close(e->fd) == 0);
  CHECK(write(quiet, "x", 1) == 1 && write(mine, "x", 1) == 1);
  CHECK((e = next(opens)) && e->mask == FAN_MODIFY && same_file(stat_of(e->fd), stat_of(mine)) && close(e->fd) == 0);
  nothing(opens), nothing(names);
  CHECK(mkdir(MINE "/new", 0700) == 0 && (e = next(names)) && e->mask == (FAN_CREATE | FAN_ONDIR) && e->fd == FAN_NOFD);
  struct fanotify_event_info_fid *info = (void *)(e + 1);
  CHECK(info->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME);
  struct file_handle *handle = (void *)info->handle;
  CHECK(strcmp((char *)handle->f_handle + handle->handle_bytes, "new") == 0);
  CHECK(unlink(DIR_ "/file") == 0 && (e = next(names)) && e->mask == FAN_DELETE);
  nothing(names);
  right();
}
