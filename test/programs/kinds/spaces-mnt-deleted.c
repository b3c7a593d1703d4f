// Files that are deleted in a mount namespace of a process's own, on a file system that only that one has and on one that both
// have: without a name, with another name that is left, mapped; a folder that somebody is in; and files that are written.
#include "file.h"
#include "spaces.h"
#include "text.h"
#include <sys/mman.h>
#include <sys/mount.h>

#define AT "/tmp/spaces-deleted"

static int made(const char *path, const char *text) {
  put(path, text);
  int fd = open(path, O_RDWR);
  CHECK(fd >= 0);
  return fd;
}
static void says(int fd, const char *text, nlink_t links) {
  char got[100] = "";
  struct stat s;
  CHECK(pread(fd, got, 99, 0) == (ssize_t)strlen(text) && !strcmp(got, text));
  CHECK(fstat(fd, &s) == 0 && s.st_nlink == links);
}
static void shows(int fd, const char *name) {
  char path[64], got[200] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  CHECK(readlink(path, got, 199) > 0);
  if (strcmp(got, name)) printf("broken: %s is %s\n", name, got);
  CHECK(!strcmp(got, name));
}

static void nested(void) {
  CHECK(unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0);
  CHECK(mount("own", AT "/own", "tmpfs", 0, 0) == 0);
  int ghost = made(AT "/own/ghost", "own ghost");
  int linked = made(AT "/own/linked", "own linked");
  CHECK(link(AT "/own/linked", AT "/own/other") == 0);
  int mapped = made(AT "/own/mapped", "own mapped");
  char *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
  CHECK(at != MAP_FAILED && ftruncate(mapped, 4096) == 0 && close(mapped) == 0);
  int both = made(AT "/both/ghost", "both ghost"), root = made(AT "/ghost", "root ghost");
  int left = made(AT "/linked", "root linked");
  CHECK(link(AT "/linked", AT "/other") == 0);
  int written = made(AT "/written", "written");
  CHECK(mkdir(AT "/own/folder", 0700) == 0 && chdir(AT "/own/folder") == 0 && rmdir(AT "/own/folder") == 0);
  CHECK(unlink(AT "/own/ghost") == 0 && unlink(AT "/own/linked") == 0 && unlink(AT "/own/mapped") == 0);
  CHECK(unlink(AT "/both/ghost") == 0 && unlink(AT "/ghost") == 0 && unlink(AT "/linked") == 0);
  put(AT "/own/ghost", "a new one");
  done();
  until_told(0);
  says(ghost, "own ghost", 0);
  says(linked, "own linked", 1);
  says(both, "both ghost", 0);
  says(root, "root ghost", 0);
  says(left, "root linked", 1);
  says(written, "written", 1);
  shows(ghost, AT "/own/ghost (deleted)");
  shows(root, AT "/ghost (deleted)");
  shows(both, AT "/both/ghost (deleted)");
  CHECK(!strcmp(at, "own mapped"));
  holds(AT "/own/ghost", "a new one");
  CHECK(pwrite(linked, "OWN", 3, 0) == 3 && pwrite(left, "ROOT", 4, 0) == 4);
  holds(AT "/own/other", "OWN linked");
  holds(AT "/other", "ROOT linked");
  char got[100];
  CHECK(getcwd(got, sizeof got) == 0 && errno == ENOENT && access(AT "/own/folder", F_OK) == -1);
  CHECK(access(AT "/own/linked", F_OK) == -1 && access(AT "/ghost", F_OK) == -1);
}

int main(void) {
  CHECK(pipe(step) == 0);
  own_folder(AT);
  CHECK(mkdir(AT "/own", 0755) == 0 && mkdir(AT "/both", 0755) == 0 && mount("both", AT "/both", "tmpfs", 0, 0) == 0);
  pid_t a = child(nested);
  wait_done();
  moved();
  CHECK(access(AT "/own/ghost", F_OK) == -1);
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  holds(AT "/written", "written");
  holds(AT "/other", "ROOT linked");
  right();
}
