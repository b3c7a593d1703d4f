// A mount namespace with a root of its own, in memory, whose process executes a program that only the other has; and a mount
// namespace that nobody is in, held by a descriptor.
#include "file.h"
#include "spaces.h"
#include "text.h"
#include <sys/mount.h>
#include <sys/syscall.h>

#define AT "/tmp/spaces-root"

static void root_of_its_own(void) {
  CHECK(unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0);
  CHECK(mount("root", AT "/root", "tmpfs", 0, 0) == 0);
  const char *names[] = {"proc", "dev", "etc", "old"};
  char path[100];
  for (int i = 0; i < 4; i++) {
    snprintf(path, sizeof path, AT "/root/%s", names[i]);
    CHECK(mkdir(path, 0755) == 0);
  }
  put(AT "/root/etc/name", "inner");
  CHECK(mount("/dev", AT "/root/dev", 0, MS_BIND, 0) == 0 && mount("/proc", AT "/root/proc", 0, MS_BIND, 0) == 0);
  // As containers do where there is an initramfs.
  CHECK(chdir(AT "/root") == 0 && mount(".", "/", 0, MS_MOVE, 0) == 0 && chroot(".") == 0 && chdir("/") == 0);
}

static void inside(void) {
  struct stat s, root;
  holds("/etc/name", "inner");
  CHECK(access("/tmp", F_OK) == -1 && access("/dev/null", R_OK) == 0 && access("/proc/self/stat", R_OK) == 0);
  CHECK(stat("/..", &s) == 0 && stat("/", &root) == 0 && s.st_ino == root.st_ino && s.st_dev == root.st_dev);
}

static void left_behind(void) {
  root_of_its_own();
  inside();
  CHECK(chdir("/etc") == 0);
  int null = open("/dev/null", O_RDWR), folder = open("/", O_RDONLY | O_DIRECTORY);
  CHECK(null >= 0 && folder >= 0);
  done();
  until_told(0);
  inside();
  holds("name", "inner");
  int fd = openat(folder, "etc/name", O_RDONLY);
  CHECK(fd >= 0 && write(null, "x", 1) == 1);
  put("/etc/new", "new");
}

int main(void) {
  CHECK(pipe(step) == 0);
  own_folder(AT);
  CHECK(mkdir(AT "/root", 0755) == 0 && mkdir(AT "/held", 0755) == 0);
  pid_t a = child(left_behind);
  wait_done();
  int own = open("/proc/self/ns/mnt", O_RDONLY);
  CHECK(own >= 0 && unshare(CLONE_NEWNS) == 0 && mount("held", AT "/held", "tmpfs", 0, 0) == 0);
  put(AT "/held/file", "held");
  int held = open("/proc/self/ns/mnt", O_RDONLY);
  // Of that one, though its process is in another.
  int of_held = open(AT "/held", O_RDONLY | O_DIRECTORY);
  CHECK(held >= 0 && of_held >= 0 && setns(own, CLONE_NEWNS) == 0);
  moved();
  CHECK(access(AT "/held/file", F_OK) == -1 && same_space("mnt", 1, getpid()));
  int fd = openat(of_held, "file", O_RDONLY);
  char got[10];
  CHECK(fd >= 0 && read(fd, got, 10) == 4 && !memcmp(got, "held", 4));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  CHECK(setns(held, CLONE_NEWNS) == 0);
  holds(AT "/held/file", "held");
  right();
}
