// A process whose program was deleted.
#include "file.h"
#include <sys/mman.h>

static const char *says = "deleted-program";

int main(int argc, char **argv) {
  char exe[128];
  if (argc == 3) _exit(0);
  if (argc == 1) {
    int from = open("/proc/self/exe", O_RDONLY), to = open("/tmp/deleted-program", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    CHECK(from >= 0 && to >= 0);
    static char buf[1 << 20];
    for (ssize_t n; (n = read(from, buf, sizeof buf)) > 0;) CHECK(write(to, buf, n) == n);
    close(from), close(to);
    execl("/tmp/deleted-program", "deleted-program", "again", (char *)0);
    CHECK(0);
  }
  CHECK(unlink("/tmp/deleted-program") == 0);
  moved();
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  CHECK(n > 0);
  exe[n] = 0;
  CHECK(strcmp(exe, "/tmp/deleted-program (deleted)") == 0);
  CHECK(access("/tmp/deleted-program", F_OK) == -1);
  CHECK(strcmp(says, "deleted-program") == 0);
  int self = open("/proc/self/exe", O_RDONLY);
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
