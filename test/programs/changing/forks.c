// A file system of its own with many files, and beside the process that counts others that beget children which end soon.
// Arguments: files, processes that beget, and milliseconds that each of them rests between two children.
#include "../domain.h"
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void path_of(char *path, int i) { sprintf(path, "/var/%d/%d", i / 50, i); }

static void write_files(int count) {
  static char text[8192];
  char path[64];
  CHECK(mount("none", "/var", "tmpfs", 0, "mode=755") == 0);
  for (int i = 0; i < count; i++) {
    sprintf(path, "/var/%d", i / 50);
    CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
    path_of(path, i);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    memset(text, 'a' + i % 26, sizeof text);
    CHECK(fd >= 0 && write(fd, text, sizeof text) == sizeof text && close(fd) == 0);
  }
}

static void check_file(int i) {
  static char text[8192];
  char path[64];
  path_of(path, i);
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && read(fd, text, sizeof text) == sizeof text && close(fd) == 0);
  CHECK(text[0] == 'a' + i % 26 && text[sizeof text - 1] == 'a' + i % 26);
}

static void begets(int rest) {
  for (int ms = 1;; ms = (ms + 7) % 23) {
    int status;
    pid_t child = fork();
    if (child == 0) {
      rest_ms(ms);
      _exit(ms);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == ms);
    rest_ms(rest);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  int files = atoi(argv[1]);
  write_files(files);
  for (int i = 0; i < atoi(argv[2]); i++)
    if (fork() == 0) begets(atoi(argv[3]));
  for (uint64_t turn = 0;; turn++) {
    CHECK(waitpid(-1, 0, WNOHANG) <= 0);
    check_file(turn * 7 % files);
    turn_done(turn);
    rest_ms(50);
  }
}
