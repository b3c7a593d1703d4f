// File systems whose contents the kernel makes up, mounted by the program: proc, sysfs, devpts, mqueue, cgroup2, devtmpfs; and ramfs.
#include "file.h"
#include <sys/mount.h>

#define AT "/tmp/virtual"

static void make(const char *type, const char *options) {
  char path[100];
  snprintf(path, sizeof path, AT "/%s", type);
  CHECK(mkdir(path, 0755) == 0);
  CHECK(mount(type, path, type, MS_NODEV, options) == 0);
}

int main(void) {
  char path[100], link[100] = "";
  own_folder(AT);
  make("proc", "hidepid=2");
  make("sysfs", 0);
  make("devpts", "mode=600,ptmxmode=666");
  make("mqueue", 0);
  make("cgroup2", 0);
  make("devtmpfs", 0);
  make("ramfs", 0);
  int fd = open(AT "/ramfs/file", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && write(fd, "ram", 3) == 3 && close(fd) == 0);
  moved();
  CHECK(readlink(AT "/proc/self", link, sizeof link) > 0 && atoi(link) == getpid());
  CHECK(access(AT "/sysfs/kernel", F_OK) == 0 && access(AT "/devpts/ptmx", F_OK) == 0 && access(AT "/cgroup2/cgroup.procs", F_OK) == 0);
  CHECK(access(AT "/devtmpfs/null", F_OK) == 0);
  snprintf(path, sizeof path, "%s/%s", AT, "ramfs/file");
  CHECK((fd = open(path, O_RDONLY)) >= 0 && read(fd, link, 10) == 3 && memcmp(link, "ram", 3) == 0);
  FILE *f = fopen("/proc/self/mountinfo", "r");
  int found = 0;
  char line[1000];
  while (fgets(line, sizeof line, f) != 0)
    if (strstr(line, AT "/proc ") != 0) found = strstr(line, "nodev") != 0 && (strstr(line, "hidepid=2") != 0 || strstr(line, "hidepid=invisible") != 0);
  CHECK(found);
  CHECK(umount(AT "/mqueue") == 0);
  right();
}
