// Folders and files mounted in other places too: of the OS instance's file system and of one of the program's own;
// read-only ones, one over the other, parts of parts.
#include "file.h"
#include "text.h"
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define AT "/tmp/bind"

static void bind_(const char *from, const char *to) { CHECK(mount(from, to, 0, MS_BIND, 0) == 0); }

int main(void) {
  struct statvfs v;
  umask(0);
  own_folder(AT);
  CHECK(mkdir(AT "/outer", 0705) == 0 && mkdir(AT "/outer/in", 0700) == 0);
  put(AT "/outer/in/file", "outer");
  CHECK(mkdir(AT "/there", 0700) == 0 && mkdir(AT "/own", 0700) == 0 && mkdir(AT "/part", 0700) == 0 && mkdir(AT "/usr", 0700) == 0);
  bind_(AT "/outer", AT "/there");
  CHECK(mount(0, AT "/there", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOATIME, 0) == 0);
  CHECK(mount("own", AT "/own", "tmpfs", 0, 0) == 0 && mkdir(AT "/own/a", 0755) == 0 && mkdir(AT "/own/a/b", 0755) == 0);
  put(AT "/own/a/b/file", "own");
  bind_(AT "/own/a", AT "/part");
  put(AT "/single", "");
  bind_(AT "/own/a/b/file", AT "/single");
  // A file of the OS instance by itself.
  put(AT "/plain", "plain");
  put(AT "/again", "");
  CHECK(setxattr(AT "/plain", "trusted.kind", "bound", 5, 0) == 0 && chmod(AT "/plain", 0604) == 0);
  bind_(AT "/plain", AT "/again");
  bind_("/proc/sys", AT "/usr");
  // One over the other: a tmpfs over what is mounted, and a mount below that is hidden then.
  CHECK(mkdir(AT "/over", 0755) == 0 && mkdir(AT "/over/below", 0755) == 0);
  CHECK(mount("first", AT "/over/below", "tmpfs", 0, 0) == 0);
  put(AT "/over/below/hidden", "hidden");
  CHECK(mount("second", AT "/over", "tmpfs", 0, 0) == 0);
  put(AT "/over/seen", "seen");
  CHECK(mount("third", AT "/over", "tmpfs", 0, "mode=700") == 0);
  put(AT "/over/upper", "upper");
  // Only a part of a file system is left.
  CHECK(mkdir(AT "/gone", 0755) == 0 && mkdir(AT "/rest", 0755) == 0 && mount("gone", AT "/gone", "tmpfs", 0, 0) == 0);
  CHECK(mkdir(AT "/gone/some", 0755) == 0 && mkdir(AT "/gone/some/part", 0711) == 0);
  put(AT "/gone/some/part/file", "rest");
  bind_(AT "/gone/some/part", AT "/rest");
  CHECK(umount2(AT "/gone", MNT_DETACH) == 0);
  CHECK(mount("ro", AT "/gone", "tmpfs", 0, 0) == 0);
  put(AT "/gone/read-only", "yes");
  CHECK(mount(0, AT "/gone", 0, MS_REMOUNT | MS_RDONLY, 0) == 0);
  int fd = open(AT "/there/in/file", O_RDONLY);
  CHECK(fd >= 0 && chdir(AT "/part/b") == 0);
  moved();
  char got[10];
  CHECK(read(fd, got, 10) == 5 && memcmp(got, "outer", 5) == 0);
  holds("file", "own");
  holds(AT "/there/in/file", "outer");
  holds(AT "/outer/in/file", "outer");
  struct stat s, s2;
  CHECK(stat(AT "/there", &s) == 0 && (s.st_mode & 07777) == 0705);
  CHECK(open(AT "/there/new", O_CREAT | O_RDWR, 0600) == -1 && errno == EROFS);
  CHECK(statvfs(AT "/there", &v) == 0 && (v.f_flag & ST_RDONLY) && (v.f_flag & ST_NOATIME));
  CHECK(stat(AT "/outer/in/file", &s) == 0 && stat(AT "/there/in/file", &s2) == 0 && s.st_ino == s2.st_ino && s.st_dev == s2.st_dev);
  holds(AT "/part/b/file", "own");
  holds(AT "/single", "own");
  put(AT "/own/a/b/file", "changed");
  holds(AT "/single", "changed");
  holds(AT "/part/b/file", "changed");
  holds(AT "/again", "plain");
  CHECK(stat(AT "/again", &s) == 0 && stat(AT "/plain", &s2) == 0 && s.st_ino == s2.st_ino && (s.st_mode & 07777) == 0604);
  CHECK(getxattr(AT "/again", "trusted.kind", got, sizeof got) == 5 && memcmp(got, "bound", 5) == 0);
  CHECK(access(AT "/usr/kernel/hostname", F_OK) == 0);
  holds(AT "/over/upper", "upper");
  CHECK(access(AT "/over/seen", F_OK) == -1);
  CHECK(umount(AT "/over") == 0);
  holds(AT "/over/seen", "seen");
  CHECK(umount(AT "/over") == 0);
  holds(AT "/over/below/hidden", "hidden");
  CHECK(umount(AT "/over/below") == 0 && access(AT "/over/below/hidden", F_OK) == -1);
  holds(AT "/rest/file", "rest");
  CHECK(stat(AT "/rest", &s) == 0 && (s.st_mode & 07777) == 0711);
  holds(AT "/gone/read-only", "yes");
  CHECK(open(AT "/gone/new", O_CREAT | O_RDWR, 0600) == -1 && errno == EROFS);
  CHECK(mount(0, AT "/gone", 0, MS_REMOUNT, 0) == 0);
  put(AT "/gone/new", "new");
  right();
}
