// A process whose program never had a name (O_TMPFILE): nobody may write it.
#include "program.h"

int main(int argc, char **argv) {
  if (argc == 3) _exit(0);
  if (argc == 1) {
    char path[64], *again[] = {"deleted-nameless", "again", 0}, *none[] = {0};
    int to = open("/tmp", O_TMPFILE | O_RDWR, 0755);
    CHECK(to >= 0);
    copy_program(to);
    snprintf(path, sizeof path, "/proc/self/fd/%d", to);
    int only = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(only >= 0 && close(to) == 0);
    fexecve(only, again, none);
    CHECK(0);
  }
  moved();
  runs_without_name();
  right();
}
