// A root directory of a process's own, and of its child; files opened below it and outside of it.
#include "file.h"
#include <sys/syscall.h>

#define DIR_ "/tmp/chroot"
static int go[2];
static void use(void) {
  char c, cwd[64];
  CHECK(chroot("inner") == 0);
  CHECK(read(go[0], &c, 1) == 1);
  CHECK(access("/leaf", F_OK) == 0 && access("/file", F_OK) == -1);
  CHECK(syscall(SYS_getcwd, cwd, sizeof cwd) > 0 && strcmp(cwd, "(unreachable)/tmp/chroot") == 0);
  CHECK(access("file", F_OK) == 0);
}

int main(void) {
  char cwd[64], got[16];
  own_folder(DIR_);
  own_folder(DIR_ "/inner");
  int out = open("/tmp/chroot-outside", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(out >= 0 && write(out, "outside", 7) == 7 && chroot(DIR_) == 0 && chdir("/") == 0);
  int file = open("/file", O_RDWR | O_CREAT, 0600), leaf = open("/inner/leaf", O_RDWR | O_CREAT, 0600);
  CHECK(file >= 0 && leaf >= 0 && write(file, "below", 5) == 5);
  CHECK(pipe(go) == 0);
  pid_t pid = child(use);
  rest_ms(100);
  moved();
  CHECK(getcwd(cwd, sizeof cwd) && strcmp(cwd, "/") == 0);
  CHECK(access("/tmp", F_OK) == -1 && access("/file", F_OK) == 0 && access("/inner/leaf", F_OK) == 0);
  int again = open("/file", O_RDONLY);
  CHECK(again >= 0 && read(again, got, 16) == 5 && same_file(stat_of(again), stat_of(file)));
  CHECK(pread(out, got, 16, 0) == 7 && memcmp(got, "outside", 7) == 0 && stat_of(out).st_nlink == 1);
  CHECK(write(go[1], "x", 1) == 1);
  ends_well(pid);
  right();
}
