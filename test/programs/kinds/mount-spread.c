// How mounts spread: peers, followers, followers that have peers, private and unbindable ones; parts of one file system.
#include "file.h"
#include <sys/mount.h>

#define AT "/tmp/spread"

static void make(const char *name) {
  char path[100];
  snprintf(path, sizeof path, AT "/%s", name);
  CHECK(mkdir(path, 0755) == 0);
}
static void set(const char *path, unsigned long how) { CHECK(mount(0, path, 0, how, 0) == 0); }
static void bind_(const char *from, const char *to) { CHECK(mount(from, to, 0, MS_BIND, 0) == 0); }

// Whether what is mounted at `where` appears at `there`.
static int reaches(const char *where, const char *there) {
  char path[100], other[100];
  struct stat s;
  snprintf(path, sizeof path, "%s/sub", where);
  snprintf(other, sizeof other, "%s/sub/new", there);
  CHECK(mount("sub", path, "tmpfs", 0, 0) == 0);
  snprintf(path, sizeof path, "%s/sub/new", where);
  CHECK(mkdir(path, 0755) == 0);
  int there_too = stat(other, &s) == 0;
  snprintf(path, sizeof path, "%s/sub", where);
  CHECK(umount(path) == 0);
  return there_too;
}

static void check(void) {
  CHECK(reaches(AT "/a", AT "/b") && reaches(AT "/b", AT "/a"));
  CHECK(reaches(AT "/a", AT "/slave") && !reaches(AT "/slave", AT "/a"));
  CHECK(reaches(AT "/a", AT "/both") && !reaches(AT "/both", AT "/b"));
  CHECK(reaches(AT "/both", AT "/peer") && reaches(AT "/peer", AT "/both") && reaches(AT "/b", AT "/peer"));
  CHECK(reaches(AT "/both", AT "/under") && !reaches(AT "/under", AT "/both"));
  CHECK(!reaches(AT "/a", AT "/private") && !reaches(AT "/private", AT "/a"));
  CHECK(mount(AT "/unbindable", AT "/private", 0, MS_BIND, 0) == -1);
  // Parts of one file system that only have their group in common.
  CHECK(reaches(AT "/left", AT "/left2") && reaches(AT "/left2", AT "/left") && reaches(AT "/right", AT "/right2"));
  CHECK(!reaches(AT "/left", AT "/right"));
}

int main(void) {
  own_folder(AT);
  const char *names[] = {"a", "b", "slave", "both", "peer", "under", "private", "unbindable", "whole", "left", "left2", "right", "right2"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) make(names[i]);
  CHECK(mount("it", AT "/a", "tmpfs", 0, 0) == 0 && mkdir(AT "/a/sub", 0755) == 0);
  set(AT "/a", MS_PRIVATE);
  bind_(AT "/a", AT "/private");
  bind_(AT "/a", AT "/unbindable");
  set(AT "/unbindable", MS_UNBINDABLE);
  set(AT "/a", MS_SHARED);
  bind_(AT "/a", AT "/b");
  bind_(AT "/a", AT "/slave");
  set(AT "/slave", MS_SLAVE);
  bind_(AT "/a", AT "/both");
  set(AT "/both", MS_SLAVE);
  set(AT "/both", MS_SHARED);
  bind_(AT "/both", AT "/peer");
  bind_(AT "/both", AT "/under");
  set(AT "/under", MS_SLAVE);
  CHECK(mount("whole", AT "/whole", "tmpfs", 0, 0) == 0);
  CHECK(mkdir(AT "/whole/l", 0755) == 0 && mkdir(AT "/whole/l/sub", 0755) == 0 && mkdir(AT "/whole/r", 0755) == 0 && mkdir(AT "/whole/r/sub", 0755) == 0);
  set(AT "/whole", MS_SHARED);
  bind_(AT "/whole/l", AT "/left");
  bind_(AT "/whole/l", AT "/left2");
  bind_(AT "/whole/r", AT "/right");
  bind_(AT "/whole/r", AT "/right2");
  CHECK(umount2(AT "/whole", MNT_DETACH) == 0);
  check();
  moved();
  check();
  right();
}
