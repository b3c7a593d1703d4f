// How mounts of several mount namespaces spread: peers in both, followers in one of a group of the other, private ones.
#include "file.h"
#include "spaces.h"
#include <sys/mount.h>

#define AT "/tmp/spaces-spread"

static int back[2];
static void tell_child(void) { CHECK(write(back[1], "x", 1) == 1); }
static void wait_told(void) { char c; CHECK(read(back[0], &c, 1) == 1); }

static int there(const char *path) { return access(path, F_OK) == 0; }
static void tmpfs(const char *path) {
  char in[100];
  CHECK(mount("new", path, "tmpfs", 0, 0) == 0);
  snprintf(in, sizeof in, "%s/new", path);
  CHECK(mkdir(in, 0755) == 0);
}

static void nested(void) {
  CHECK(unshare(CLONE_NEWNS) == 0);
  CHECK(mount(0, AT "/follows", 0, MS_SLAVE, 0) == 0);
  CHECK(mount(0, AT "/both", 0, MS_SLAVE, 0) == 0 && mount(0, AT "/both", 0, MS_SHARED, 0) == 0);
  CHECK(mount(0, AT "/apart", 0, MS_PRIVATE, 0) == 0);
  CHECK(mount(AT "/peer", AT "/other", 0, MS_BIND, 0) == 0);
  CHECK(mount(AT "/both", AT "/both2", 0, MS_BIND, 0) == 0);
  done();
  until_told(0);
  CHECK(there(AT "/peer/sub/new") && there(AT "/other/sub/new") && there(AT "/follows/sub/new") && there(AT "/both/sub/new"));
  CHECK(there(AT "/both2/sub/new") && !there(AT "/apart/sub/new"));
  done();
  wait_told();
  CHECK(!there(AT "/peer/sub/new") && !there(AT "/other/sub/new") && !there(AT "/follows/sub/new") && !there(AT "/both2/sub/new"));
  tmpfs(AT "/peer/sub");
  tmpfs(AT "/follows/sub");
  tmpfs(AT "/both/sub");
  tmpfs(AT "/apart/sub");
  CHECK(there(AT "/other/sub/new") && there(AT "/both2/sub/new"));
}

int main(void) {
  CHECK(pipe(step) == 0 && pipe(back) == 0);
  own_folder(AT);
  const char *names[] = {"peer", "follows", "both", "apart", "other", "both2"};
  char path[100];
  for (int i = 0; i < 6; i++) {
    snprintf(path, sizeof path, AT "/%s", names[i]);
    CHECK(mkdir(path, 0755) == 0);
    if (i > 3) continue;
    CHECK(mount("it", path, "tmpfs", 0, 0) == 0 && mount(0, path, 0, MS_SHARED, 0) == 0);
    strcat(path, "/sub");
    CHECK(mkdir(path, 0755) == 0);
  }
  pid_t a = child(nested);
  wait_done();
  moved();
  const char *points[] = {AT "/peer/sub", AT "/follows/sub", AT "/both/sub", AT "/apart/sub"};
  for (int i = 0; i < 4; i++) tmpfs(points[i]);
  CHECK(kill(a, SIGTERM) == 0);
  wait_done();
  for (int i = 0; i < 4; i++) CHECK(umount(points[i]) == 0);
  tell_child();
  ends_well(a);
  CHECK(there(AT "/peer/sub/new"));
  for (int i = 1; i < 4; i++) {
    snprintf(path, sizeof path, "%s/new", points[i]);
    CHECK(!there(path));
  }
  right();
}
