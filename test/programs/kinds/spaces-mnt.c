// Mount namespaces of processes' own: what is mounted in each, what is mounted in several of them and is the same there,
// what is not mounted in one; folders and files that are open there.
// fails: shape resume
#include "file.h"
#include "spaces.h"
#include "text.h"
#include <sys/mount.h>
#include <sys/statvfs.h>

#define AT "/tmp/spaces"

static void nested(void) {
  CHECK(unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0);
  // Of its own; over what the other one has; read-only here only; not mounted here any more.
  CHECK(mount("only", AT "/only", "tmpfs", 0, "mode=711") == 0);
  put(AT "/only/file", "only here");
  CHECK(mkdir(AT "/only/folder", 0700) == 0);
  CHECK(mount("over", AT "/over", "tmpfs", 0, 0) == 0);
  put(AT "/over/file", "over");
  CHECK(mount(AT "/both/part", AT "/part", 0, MS_BIND, 0) == 0);
  CHECK(mount(0, AT "/both", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0) == 0);
  CHECK(umount(AT "/away") == 0);
  // On what both have, closed at the move.
  put(AT "/closed", "closed");
  int fd = open(AT "/only/file", O_RDWR), shared = open(AT "/both/part/file", O_RDONLY);
  int folder = open(AT "/over", O_RDONLY | O_DIRECTORY);
  CHECK(fd >= 0 && shared >= 0 && folder >= 0 && chdir(AT "/only/folder") == 0);
  CHECK(lseek(fd, 5, SEEK_SET) == 5);
  done();
  until_told(0);
  struct statvfs v;
  struct stat s;
  char got[20];
  CHECK(read(fd, got, 20) == 4 && !memcmp(got, "here", 4));
  CHECK(read(shared, got, 20) == 6 && !memcmp(got, "shared", 6));
  holds(AT "/only/file", "only here");
  holds("../file", "only here");
  CHECK(stat(AT "/only", &s) == 0 && (s.st_mode & 07777) == 0711);
  holds(AT "/over/file", "over");
  int in = openat(folder, "file", O_RDONLY);
  CHECK(in >= 0 && read(in, got, 20) == 4 && !memcmp(got, "over", 4));
  CHECK(openat(folder, "../only/file", O_RDONLY) >= 0);
  CHECK(statvfs(AT "/both", &v) == 0 && (v.f_flag & ST_RDONLY));
  CHECK(open(AT "/both/new", O_CREAT | O_WRONLY, 0600) == -1 && errno == EROFS);
  holds(AT "/closed", "closed");
  holds(AT "/part/file", "shared");
  put(AT "/part/file", "changed");
  holds(AT "/away/file", "beneath");
  // Nothing of it is seen in the other.
  CHECK(mount("new", AT "/over", "tmpfs", 0, 0) == 0);
}

int main(void) {
  CHECK(pipe(step) == 0);
  own_folder(AT);
  const char *names[] = {"only", "over", "both", "away", "part"};
  char path[100];
  for (int i = 0; i < 5; i++) {
    snprintf(path, sizeof path, AT "/%s", names[i]);
    CHECK(mkdir(path, 0755) == 0);
  }
  put(AT "/away/file", "beneath");
  put(AT "/over/file", "plain");
  CHECK(mount("both", AT "/both", "tmpfs", 0, 0) == 0 && mkdir(AT "/both/part", 0755) == 0);
  put(AT "/both/part/file", "shared");
  CHECK(mount("away", AT "/away", "tmpfs", 0, 0) == 0);
  put(AT "/away/file", "above");
  pid_t a = child(nested);
  wait_done();
  moved();
  CHECK(access(AT "/only/file", F_OK) == -1);
  holds(AT "/over/file", "plain");
  holds(AT "/away/file", "above");
  put(AT "/both/new", "new");
  CHECK(!same_space("mnt", a, getpid()) && same_space("mnt", 1, getpid()));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  holds(AT "/both/part/file", "changed");
  holds(AT "/over/file", "plain");
  right();
}
