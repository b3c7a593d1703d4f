// A process whose program never had a name (O_TMPFILE): nobody may write it.
#include "file.h"

static char buf[1 << 20];

int main(int argc, char **argv) {
  if (argc == 3) _exit(0);
  if (argc == 1) {
    char path[64], *again[] = {"deleted-nameless", "again", 0}, *none[] = {0};
    int from = open("/proc/self/exe", O_RDONLY), to = open("/tmp", O_TMPFILE | O_RDWR, 0755);
    CHECK(from >= 0 && to >= 0);
    for (ssize_t n; (n = read(from, buf, sizeof buf)) > 0;) CHECK(write(to, buf, n) == n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", to);
    int only = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(only >= 0 && close(to) == 0 && close(from) == 0);
    fexecve(only, again, none);
    CHECK(0);
  }
  moved();
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  CHECK(self >= 0 && stat_of(self).st_nlink == 0 && (stat_of(self).st_mode & 0777) == 0755);
  CHECK(open("/proc/self/exe", O_RDWR) == -1 && errno == ETXTBSY);
  // It can still be executed.
  pid_t pid = fork();
  if (pid == 0) {
    execl("/proc/self/exe", "x", "y", "z", (char *)0);
    _exit(7);
  }
  ends_well(pid);
  right();
}
