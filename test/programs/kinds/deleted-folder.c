// Folders that are gone: held open, as working directory of a process and of its child; files that were in them.
#include "file.h"

#define DIR_ "/tmp/deleted-folder"
static int go[2];
static void use(void) {
  char c, cwd[64];
  CHECK(chdir(DIR_) == 0);
  CHECK(read(go[0], &c, 1) == 1 && read(go[0], &c, 1) == 1);
  CHECK(getcwd(cwd, sizeof cwd) == 0 && errno == ENOENT);
  // The way out of a folder that is gone still leads to where it was.
  CHECK(chdir("..") == 0 && getcwd(cwd, sizeof cwd) && strcmp(cwd, "/tmp") == 0);
}

int main(void) {
  char got[16];
  own_folder(DIR_);
  own_folder(DIR_ "/in");
  CHECK(chmod(DIR_ "/in", 0710) == 0 && chown(DIR_ "/in", 5, 6) == 0);
  int file = open(DIR_ "/in/file", O_RDWR | O_CREAT, 0600);
  CHECK(file >= 0 && write(file, "inside", 6) == 6 && unlink(DIR_ "/in/file") == 0);
  int in = open(DIR_ "/in", O_RDONLY | O_DIRECTORY), out = open(DIR_, O_RDONLY | O_DIRECTORY);
  int in2 = open(DIR_ "/in", O_PATH);
  CHECK(in >= 0 && out >= 0 && in2 >= 0);
  CHECK(pipe(go) == 0);
  pid_t pid = child(use);
  CHECK(write(go[1], "x", 1) == 1);
  rest_ms(100);
  CHECK(chdir(DIR_ "/in") == 0);
  CHECK(rmdir(DIR_ "/in") == 0 && rmdir(DIR_) == 0);
  struct stat before = stat_of(in), cwd;
  moved();
  same_stat(before, stat_of(in));
  CHECK(stat_of(in).st_nlink == 0 && stat_of(out).st_nlink == 0);
  CHECK(strcmp(link_of(in), DIR_ "/in (deleted)") == 0 && strcmp(link_of(out), DIR_ " (deleted)") == 0);
  CHECK(strcmp(link_of(file), DIR_ "/in/file (deleted)") == 0);
  CHECK(same_file(stat_of(in), stat_of(in2)) && (fcntl(in2, F_GETFL) & O_PATH) != 0);
  CHECK(stat(".", &cwd) == 0 && same_file(cwd, stat_of(in)));
  CHECK(openat(in, "new", O_RDWR | O_CREAT, 0600) == -1 && errno == ENOENT);
  CHECK(access(DIR_, F_OK) == -1);
  CHECK(pread(file, got, sizeof got, 0) == 6 && memcmp(got, "inside", 6) == 0);
  CHECK(write(go[1], "x", 1) == 1);
  ends_well(pid);
  right();
}
