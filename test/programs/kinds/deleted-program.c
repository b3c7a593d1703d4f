// A process whose program was deleted.
#include "program.h"

static const char *says = "deleted-program";

int main(int argc, char **argv) {
  char exe[128];
  if (argc == 3) _exit(0);
  if (argc == 1) {
    int to = open("/tmp/deleted-program", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    CHECK(to >= 0);
    copy_program(to);
    CHECK(close(to) == 0);
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
  runs_without_name();
  right();
}
