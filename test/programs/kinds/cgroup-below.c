// Cgroups below the domain's own: processes in them, limits, one that is frozen, owners.
#include "cgroup.h"

static int is_frozen(const char *path) {
  char got[256] = "";
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && read(fd, got, sizeof got - 1) > 0 && close(fd) == 0);
  return strstr(got, "frozen 1") != 0;
}

// What is set in cgroups of the program's own, each of which has the controllers for it by then.
static const struct { const char *path, *value; } settings[] = {
  {TOP "/cold/cgroup.freeze", "1"},
  {TOP "/web/cgroup.max.depth", "3"},
  {TOP "/web/cgroup.max.descendants", "7"},
  {TOP "/web/pids.max", "40"},
  {TOP "/web/cpu.weight", "33"},
  {TOP "/web/cpu.max", "50000 200000"},
  {TOP "/web/inner/memory.max", "67108864"},
  {TOP "/web/inner/memory.oom.group", "1"},
  {TOP "/web/inner/pids.max", "4"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static void stay(void) {
  for (;;) pause();
}

int main(void) {
  in(getpid(), "/");
  CHECK(mkdir(TOP "/web", 0750) == 0 && mkdir(TOP "/web/inner", 0755) == 0 && mkdir(TOP "/cold", 0755) == 0);
  CHECK(mkdir(TOP "/cpu.folder", 0755) == 0);
  // Only a cgroup without processes of its own gives its children more than processor time.
  CHECK(mkdir(TOP "/main", 0755) == 0);
  put_id(TOP "/main/cgroup.procs", getpid());
  put_id(TOP "/main/cgroup.procs", 1);
  pid_t a = child(stay), b = child(stay), c = child(stay);
  put_id(TOP "/web/inner/cgroup.procs", a);
  put_id(TOP "/cpu.folder/cgroup.procs", b);
  put_id(TOP "/cold/cgroup.procs", c);
  CHECK(chown(TOP "/web", 1000, 1000) == 0 && chown(TOP "/web/cgroup.procs", 1000, 1000) == 0);
  put(TOP "/cgroup.subtree_control", "+pids +cpu +memory");
  put(TOP "/web/cgroup.subtree_control", "+memory +pids");
  for (int i = 0; i < SETTINGS; i++) put(settings[i].path, settings[i].value);
  moved();
  in(getpid(), "/main");
  in(a, "/web/inner");
  in(b, "/cpu.folder");
  in(c, "/cold");
  for (int i = 0; i < SETTINGS; i++) {
    char line[64];
    snprintf(line, sizeof line, "%s\n", settings[i].value);
    holds(settings[i].path, line);
  }
  // It freezes in a moment, and stays so.
  for (int turn = 0; !is_frozen(TOP "/cold/cgroup.events"); turn++) {
    CHECK(turn < 100);
    rest_ms(10);
  }
  holds(TOP "/cgroup.subtree_control", "cpu memory pids\n");
  struct stat s;
  CHECK(stat(TOP "/web", &s) == 0 && s.st_uid == 1000 && s.st_gid == 1000 && (s.st_mode & 0777) == 0750);
  CHECK(stat(TOP "/web/cgroup.procs", &s) == 0 && s.st_uid == 1000);
  put(TOP "/cold/cgroup.freeze", "0");
  kill(a, SIGKILL), kill(b, SIGKILL), kill(c, SIGKILL);
  CHECK(waitpid(a, 0, 0) == a && waitpid(b, 0, 0) == b && waitpid(c, 0, 0) == c);
  CHECK(rmdir(TOP "/web/inner") == 0 && rmdir(TOP "/cold") == 0);
  right();
}
