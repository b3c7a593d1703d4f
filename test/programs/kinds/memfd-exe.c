// fails: finish resume
// A program that is executed out of a memfd.
#include "program.h"
#include <sys/mman.h>
extern char **environ;
int main(int argc, char **argv) {
  char text[4096];
  if (argc < 2) {
    int program = memfd_create("my program", MFD_CLOEXEC);
    copy_program(program);
    sprintf(text, "/proc/self/fd/%d", program);
    int readable = open(text, O_RDONLY);
    CHECK(close(program) == 0);
    char *args[] = {"program", "now", 0};
    execveat(readable, "", args, environ, AT_EMPTY_PATH);
    CHECK(0);
  }
  static int data = 5;
  data = 6;
  moved();
  memset(text, 0, sizeof text);
  CHECK(readlink("/proc/self/exe", text, 99) > 0 && !strcmp(text, "/memfd:my program (deleted)"));
  CHECK(data == 6);
  right();
}
