// Files of a tmpfs of the program's own that change all the time: written, renamed, removed, linked, mapped and closed.
// hops: 3
#include "file.h"
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#define AT "/tmp/changing"
#define FILES 20

static volatile uint64_t *shared;

static void put(const char *path, uint64_t turn, size_t size) {
  static uint64_t block[100000 / 8];
  for (size_t i = 0; i < size / 8; i++) block[i] = turn + i;
  int fd = open(AT "/new", O_CREAT | O_WRONLY | O_TRUNC, 0644);
  CHECK(fd >= 0 && write(fd, block, size) == (ssize_t)size && close(fd) == 0);
  CHECK(rename(AT "/new", path) == 0);
}

static void holds(const char *path, uint64_t turn, size_t size) {
  static uint64_t block[100000 / 8 + 1];
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && read(fd, block, sizeof block) == (ssize_t)size && close(fd) == 0);
  for (size_t i = 0; i < size / 8; i++) CHECK(block[i] == turn + i);
}

static size_t size_of(uint64_t turn) { return turn % 7 == 0 ? 90000 : 8 * (turn % 50 + 1); }

// An attribute of a file that is there already: what it was is known.
static void mark(uint64_t turn) {
  static uint64_t marked[FILES];
  char path[64];
  int k = (turn + 7) % FILES;
  uint64_t was = 0;
  marked[turn % FILES] = 0;
  if (turn <= FILES) return;
  snprintf(path, sizeof path, AT "/%d", k);
  CHECK(getxattr(path, "trusted.mark", &was, 8) == (marked[k] ? 8 : -1) && was == marked[k]);
  marked[k] = turn;
  CHECK(setxattr(path, "trusted.mark", &turn, 8, 0) == 0);
}

static void work(void) {
  char path[64], other[64];
  for (uint64_t turn = 1; shared[0] == 0; turn++) {
    int k = turn % FILES;
    snprintf(path, sizeof path, AT "/%d", k);
    snprintf(other, sizeof other, AT "/folder%d/link", k);
    if (turn > FILES) {
      holds(path, turn - FILES, size_of(turn - FILES));
      holds(other, turn - FILES, size_of(turn - FILES));
      CHECK(unlink(other) == 0);
      snprintf(other, sizeof other, AT "/folder%d", k);
      CHECK(rmdir(other) == 0);
    }
    put(path, turn, size_of(turn));
    mark(turn);
    snprintf(other, sizeof other, AT "/folder%d", k);
    CHECK(mkdir(other, 0700) == 0);
    strcat(other, "/link");
    CHECK(link(path, other) == 0);
    // In place, without a trace in its times.
    int fd = open(AT "/mapped", O_RDWR);
    CHECK(fd >= 0);
    uint64_t *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && close(fd) == 0 && p[0] == turn - 1);
    p[0] = turn;
    CHECK(munmap(p, 4096) == 0);
    if (turn % 20 == 0) rest_ms(1);
  }
}

int main(void) {
  own_folder(AT);
  CHECK(mount("it", AT, "tmpfs", 0, 0) == 0);
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int fd = open(AT "/mapped", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && ftruncate(fd, 4096) == 0 && close(fd) == 0);
  pid_t worker = child(work);
  rest_ms(300);
  moved();
  rest_ms(100);
  shared[0] = 1;
  ends_well(worker);
  right();
}
