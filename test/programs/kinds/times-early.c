// Files of a tmpfs whose times are before 1970, and in the first second of it.
#include "text.h"
#include <sys/mount.h>

#define AT "/mnt/early"

int main(void) {
  struct stat s;
  mkdir("/mnt", 0755);
  mkdir(AT, 0755);
  CHECK(mount("early", AT, "tmpfs", 0, 0) == 0);
  put_with_mode(AT "/early", "", 0644);
  put_with_mode(AT "/whole", "", 0644);
  CHECK(mkdir(AT "/folder", 0755) == 0);
  struct timespec early[2] = {{-5, 999999999}, {-100, 7}}, whole[2] = {{0, 5}, {-3, 0}};
  CHECK(utimensat(AT_FDCWD, AT "/early", early, 0) == 0 && utimensat(AT_FDCWD, AT "/whole", whole, 0) == 0);
  CHECK(utimensat(AT_FDCWD, AT "/folder", early, 0) == 0);
  moved();
  CHECK(stat(AT "/early", &s) == 0 && s.st_mtim.tv_sec == -100 && s.st_mtim.tv_nsec == 7);
  CHECK(s.st_atim.tv_sec == -5 && s.st_atim.tv_nsec == 999999999);
  CHECK(stat(AT "/whole", &s) == 0 && s.st_mtim.tv_sec == -3 && s.st_mtim.tv_nsec == 0);
  CHECK(s.st_atim.tv_sec == 0 && s.st_atim.tv_nsec == 5);
  CHECK(stat(AT "/folder", &s) == 0 && s.st_mtim.tv_sec == -100 && s.st_mtim.tv_nsec == 7);
  right();
}
