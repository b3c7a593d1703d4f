// Files that were written and closed, on the file system of the OS instance: what they hold, their names, owners, modes and times;
// renamed and deleted ones. Others change all the time.
#include "file.h"
#include "text.h"
#include <sys/xattr.h>

#define AT "/tmp/written"

static void work(void) {
  for (uint64_t turn = 0;; turn++) {
    replace_in_turn(AT, turn);
    rest_ms(5);
  }
}

int main(void) {
  struct stat s;
  umask(0);
  own_folder(AT);
  CHECK(chmod(AT, 0751) == 0 && mkdir(AT "/deep", 0700) == 0 && chown(AT "/deep", 3, 4) == 0);
  put_with_mode(AT "/deep/plain", "hello", 0604);
  CHECK(chown(AT "/deep/plain", 1000, 1001) == 0);
  struct timespec times[2] = {{1000, 5}, {2000, 123456789}};
  CHECK(utimensat(AT_FDCWD, AT "/deep/plain", times, 0) == 0);
  put_with_mode(AT "/linked", "two names", 0600);
  CHECK(link(AT "/linked", AT "/second") == 0);
  put_with_mode(AT "/first-name", "renamed", 0600);
  CHECK(rename(AT "/first-name", AT "/last-name") == 0);
  put_with_mode(AT "/temporary", "gone", 0600);
  CHECK(unlink(AT "/temporary") == 0);
  put_with_mode(AT "/empty", "", 0600);
  put_with_mode(AT "/executable", "#!/bin/sh\n", 0755);
  char block[1024];
  int fd = open(AT "/large", O_CREAT | O_WRONLY, 0600);
  for (int i = 0; i < 3000; i++) { memset(block, i, sizeof block); CHECK(write(fd, block, sizeof block) == sizeof block); }
  CHECK(close(fd) == 0);
  pid_t worker = child(work);
  rest_ms(100);
  moved();
  CHECK(kill(worker, 0) == 0 && waitpid(worker, 0, WNOHANG) == 0);
  kill(worker, SIGKILL);
  CHECK(stat(AT, &s) == 0 && (s.st_mode & 07777) == 0751);
  CHECK(stat(AT "/deep", &s) == 0 && (s.st_mode & 07777) == 0700 && s.st_uid == 3 && s.st_gid == 4);
  holds(AT "/deep/plain", "hello");
  CHECK(stat(AT "/deep/plain", &s) == 0 && s.st_mode == (S_IFREG | 0604) && s.st_uid == 1000 && s.st_gid == 1001);
  CHECK(s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 123456789);
  holds(AT "/second", "two names");
  CHECK(stat(AT "/second", &s) == 0 && s.st_nlink == 2);
  holds(AT "/last-name", "renamed");
  CHECK(access(AT "/first-name", F_OK) == -1 && access(AT "/temporary", F_OK) == -1);
  CHECK(stat(AT "/empty", &s) == 0 && s.st_size == 0);
  CHECK(stat(AT "/executable", &s) == 0 && (s.st_mode & 07777) == 0755);
  CHECK((fd = open(AT "/large", O_RDONLY)) >= 0);
  for (int i = 0; i < 3000; i++) CHECK(read(fd, block, sizeof block) == sizeof block && block[0] == (char)i && block[1023] == (char)i);
  right();
}
