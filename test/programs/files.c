// Regular files with offsets, shared and not; appending; mappings of files, private and shared; a directory
// being read; working directory and umask.
#include "domain.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SIZE (64 * 1024)

int main(void) {
  mkdir("/tmp/files", 0755);
  CHECK(chdir("/tmp/files") == 0);
  umask(027);
  int plain = open("plain", O_RDWR | O_CREAT | O_TRUNC, 0644);
  int again = open("plain", O_RDONLY);
  int twin = dup(plain);
  for (int i = 0; i < SIZE / 8; i++) {
    uint64_t v = i * 0x9e3779b97f4a7c15;
    CHECK(write(plain, &v, 8) == 8);
  }
  int log = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
  int common = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(ftruncate(common, SIZE) == 0);
  volatile uint64_t *shared = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, common, 0);
  close(common);
  // Written here and there, the rest stays the file's.
  uint64_t *private = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, plain, 0);
  for (int i = 0; i < SIZE / 8; i += 2048) private[i] = i;
  int self = open("/proc/self/exe", O_RDONLY);
  char *code = mmap(0, 8192, PROT_READ, MAP_PRIVATE, self, 0);
  close(self);
  char head[8192];
  memcpy(head, code, sizeof head);
  DIR *dir = opendir("/tmp/files");

  if (fork() == 0) {
    // Sees the same memory and the same offset.
    for (;;) {
      uint64_t n = shared[1];
      if (shared[2] != n) shared[2] = n;
      rest_ms(2);
    }
  }
  for (uint64_t turn = 1;; turn++) {
    shared[1] = turn;
    while (shared[2] != turn) rest_ms(2);
    shared[turn % 1000 + 100] = turn;

    uint64_t v;
    int64_t at = turn * 7 % (SIZE / 8);
    CHECK(lseek(plain, at * 8, SEEK_SET) == at * 8);
    rest_ms(5);
    CHECK(lseek(twin, 0, SEEK_CUR) == at * 8);
    CHECK(read(twin, &v, 8) == 8 && v == at * 0x9e3779b97f4a7c15);
    CHECK(lseek(plain, 0, SEEK_CUR) == at * 8 + 8);
    int64_t was = lseek(again, 0, SEEK_CUR);
    CHECK(read(again, &v, 8) == 8 && v == was / 8 * 0x9e3779b97f4a7c15);
    if (was + 8 == SIZE) lseek(again, 0, SEEK_SET);

    for (int i = 0; i < SIZE / 8; i++) CHECK(private[i] == (i % 2048 == 0 ? (uint64_t)i : i * 0x9e3779b97f4a7c15));
    CHECK(memcmp(code, head, sizeof head) == 0);
    CHECK(write(log, &turn, 8) == 8);
    struct stat s;
    CHECK(fstat(log, &s) == 0 && (uint64_t)s.st_size == turn * 8);

    char cwd[64];
    CHECK(getcwd(cwd, sizeof cwd) && strcmp(cwd, "/tmp/files") == 0);
    mode_t mask = umask(027);
    CHECK(mask == 027);
    rewinddir(dir);
    int names = 0;
    while (readdir(dir)) names++;
    CHECK(names == 5);
    rest_ms(20);
    turn_done(turn);
  }
}
