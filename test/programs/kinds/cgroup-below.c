// Cgroups below the domain's own: processes in them, limits, one that is frozen, owners; a move within them afterwards.
#include "kind.h"

#define TOP "/sys/fs/cgroup"

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  CHECK(fd >= 0);
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static void is(const char *path, const char *text) {
  char got[4096];
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  ssize_t n = read(fd, got, sizeof got - 1);
  CHECK(n >= 0);
  got[n] = 0;
  if (n > 0 && got[n - 1] == '\n') got[n - 1] = 0;
  if (strcmp(got, text)) printf("broken: %s is %s and not %s\n", path, got, text);
  CHECK(strcmp(got, text) == 0);
  close(fd);
}

static void in(pid_t pid, const char *path) {
  char file[64], want[128];
  snprintf(file, sizeof file, "/proc/%d/cgroup", pid);
  snprintf(want, sizeof want, "0::%s", path);
  is(file, want);
}

static void stay(void) {
  for (;;) pause();
}

int main(void) {
  char text[32];
  in(getpid(), "/");
  CHECK(mkdir(TOP "/web", 0750) == 0 && mkdir(TOP "/web/inner", 0755) == 0 && mkdir(TOP "/cold", 0755) == 0);
  CHECK(mkdir(TOP "/cpu.folder", 0755) == 0);
  // Only a cgroup without processes of its own gives its children more than processor time.
  CHECK(mkdir(TOP "/main", 0755) == 0);
  put(TOP "/main/cgroup.procs", "0");
  put(TOP "/main/cgroup.procs", "1");
  pid_t a = child(stay), b = child(stay), c = child(stay);
  snprintf(text, sizeof text, "%d", a);
  put(TOP "/web/inner/cgroup.procs", text);
  snprintf(text, sizeof text, "%d", b);
  put(TOP "/cpu.folder/cgroup.procs", text);
  snprintf(text, sizeof text, "%d", c);
  put(TOP "/cold/cgroup.procs", text);
  put(TOP "/cold/cgroup.freeze", "1");
  put(TOP "/web/cgroup.max.depth", "3");
  put(TOP "/web/cgroup.max.descendants", "7");
  CHECK(chown(TOP "/web", 1000, 1000) == 0 && chown(TOP "/web/cgroup.procs", 1000, 1000) == 0);
  put(TOP "/cgroup.subtree_control", "+pids +cpu +memory");
  put(TOP "/web/pids.max", "40");
  put(TOP "/web/cpu.weight", "33");
  put(TOP "/web/cpu.max", "50000 200000");
  put(TOP "/web/cgroup.subtree_control", "+memory +pids");
  put(TOP "/web/inner/memory.max", "67108864");
  put(TOP "/web/inner/memory.oom.group", "1");
  put(TOP "/web/inner/pids.max", "4");
  moved();
  in(getpid(), "/main");
  in(a, "/web/inner");
  in(b, "/cpu.folder");
  in(c, "/cold");
  is(TOP "/cold/cgroup.freeze", "1");
  for (int turn = 0; turn < 100 && !strstr(text, "frozen 1"); turn++) {
    char got[256] = "";
    int fd = open(TOP "/cold/cgroup.events", O_RDONLY);
    CHECK(read(fd, got, sizeof got - 1) > 0);
    close(fd);
    if (strstr(got, "frozen 1")) break;
    CHECK(turn < 99);
    rest_ms(10);
  }
  is(TOP "/web/cgroup.max.depth", "3");
  is(TOP "/web/cgroup.max.descendants", "7");
  is(TOP "/cgroup.subtree_control", "cpu memory pids");
  is(TOP "/web/pids.max", "40");
  is(TOP "/web/cpu.weight", "33");
  is(TOP "/web/cpu.max", "50000 200000");
  is(TOP "/web/inner/memory.max", "67108864");
  is(TOP "/web/inner/memory.oom.group", "1");
  is(TOP "/web/inner/pids.max", "4");
  struct stat s;
  CHECK(stat(TOP "/web", &s) == 0 && s.st_uid == 1000 && s.st_gid == 1000 && (s.st_mode & 0777) == 0750);
  CHECK(stat(TOP "/web/cgroup.procs", &s) == 0 && s.st_uid == 1000);
  put(TOP "/cold/cgroup.freeze", "0");
  kill(a, SIGKILL), kill(b, SIGKILL), kill(c, SIGKILL);
  CHECK(waitpid(a, 0, 0) == a && waitpid(b, 0, 0) == b && waitpid(c, 0, 0) == c);
  CHECK(rmdir(TOP "/web/inner") == 0 && rmdir(TOP "/cold") == 0);
  right();
}
