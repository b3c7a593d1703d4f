// Deleted files that are mapped: shared by two processes, private, with a descriptor and without.
#include "file.h"
#include <sys/mman.h>

#define PAGES 40
#define SIZE (PAGES * 4096 - 1000)
static unsigned char want[SIZE];
static unsigned char *shared, *alone, *private;
static int fd, go[2], done[2];

static unsigned char *map(int fd, int flags) {
  unsigned char *p = mmap(0, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

static void use(void) {
  char c;
  CHECK(read(go[0], &c, 1) == 1);
  CHECK(shared[5] == 'p' && alone[6] == 'p');
  shared[7] = alone[8] = private[9] = 'c';
  CHECK(write(done[1], "x", 1) == 1);
}

int main(void) {
  char c, maps[65536];
  own_folder("/tmp/deleted-mapped");
  fill(want, SIZE, 7);
  fd = open("/tmp/deleted-mapped/file", O_RDWR | O_CREAT, 0600);
  CHECK(fd >= 0 && write(fd, want, SIZE) == SIZE);
  shared = map(fd, MAP_SHARED);
  int other = open("/tmp/deleted-mapped/other", O_RDWR | O_CREAT, 0600);
  CHECK(other >= 0 && write(other, want, SIZE) == SIZE);
  alone = map(other, MAP_SHARED);
  int third = open("/tmp/deleted-mapped/third", O_RDWR | O_CREAT, 0600);
  CHECK(third >= 0 && write(third, want, SIZE) == SIZE);
  close(third);
  CHECK((third = open("/tmp/deleted-mapped/third", O_RDONLY)) >= 0);
  private = map(third, MAP_PRIVATE);
  close(other), close(third);
  CHECK(unlink("/tmp/deleted-mapped/file") == 0 && unlink("/tmp/deleted-mapped/other") == 0);
  CHECK(unlink("/tmp/deleted-mapped/third") == 0 && rmdir("/tmp/deleted-mapped") == 0);
  private[20 * 4096] = 'w';
  CHECK(pipe(go) == 0 && pipe(done) == 0);
  pid_t pid = child(use);
  moved();
  CHECK(memcmp(shared, want, SIZE) == 0 && memcmp(alone, want, SIZE) == 0);
  CHECK(private[20 * 4096] == 'w');
  private[20 * 4096] = want[20 * 4096];
  CHECK(memcmp(private, want, SIZE) == 0);
  CHECK(shared[SIZE] == 0 && shared[PAGES * 4096 - 1] == 0);
  shared[5] = alone[6] = 'p';
  CHECK(pread(fd, &c, 1, 5) == 1 && c == 'p' && stat_of(fd).st_size == SIZE && stat_of(fd).st_nlink == 0);
  CHECK(write(go[1], "x", 1) == 1 && read(done[0], &c, 1) == 1);
  CHECK(shared[7] == 'c' && alone[8] == 'c' && private[9] == want[9]);
  ends_well(pid);
  CHECK(pwrite(fd, "f", 1, 11) == 1 && shared[11] == 'f');
  FILE *f = fopen("/proc/self/maps", "r");
  CHECK(f != 0);
  maps[fread(maps, 1, sizeof maps - 1, f)] = 0;
  CHECK(strstr(maps, "/tmp/deleted-mapped/file (deleted)") && strstr(maps, "/tmp/deleted-mapped/other (deleted)"));
  CHECK(strstr(maps, "/tmp/deleted-mapped/third (deleted)"));
  right();
}
