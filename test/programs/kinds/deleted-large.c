// A deleted file of 24 MiB, and one of 5 GiB with holes.
#include "file.h"
#include <sys/mman.h>

#define MIB (1024 * 1024L)
static unsigned char piece[MIB], got[MIB];

int main(void) {
  const off_t at[] = {0, 3 * MIB, 2047 * MIB + 4096 * 3, 4 * 1024 * MIB, 5 * 1024 * MIB - 4096};
  int large = open("/tmp/deleted-large", O_RDWR | O_CREAT | O_TRUNC, 0600);
  int sparse = open("/tmp/deleted-sparse", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(large >= 0 && sparse >= 0);
  CHECK(unlink("/tmp/deleted-large") == 0 && unlink("/tmp/deleted-sparse") == 0);
  for (int i = 0; i < 24; i++) {
    fill(piece, sizeof piece, i);
    CHECK(write(large, piece, sizeof piece) == sizeof piece);
  }
  CHECK(write(large, "the end", 7) == 7);
  CHECK(ftruncate(sparse, 5 * 1024 * MIB + 100) == 0);
  for (int i = 0; i < 5; i++) {
    fill(piece, 4096, 100 + i);
    CHECK(pwrite(sparse, piece, 4096, at[i]) == 4096);
  }
  CHECK(lseek(sparse, 3 * 1024 * MIB, SEEK_SET) == 3 * 1024 * MIB);
  struct stat a = stat_of(large), b = stat_of(sparse);
  moved();
  same_stat(a, stat_of(large));
  same_stat(b, stat_of(sparse));
  CHECK(lseek(large, 0, SEEK_CUR) == 24 * MIB + 7 && lseek(sparse, 0, SEEK_CUR) == 3 * 1024 * MIB);
  for (int i = 0; i < 24; i++) {
    fill(piece, sizeof piece, i);
    CHECK(pread(large, got, sizeof got, i * MIB) == MIB && memcmp(piece, got, MIB) == 0);
  }
  CHECK(pread(large, got, 100, 24 * MIB) == 7 && memcmp(got, "the end", 7) == 0);
  off_t end = 0;
  for (int i = 0; i < 5; i++) {
    off_t start = lseek(sparse, end, SEEK_DATA);
    CHECK(start == at[i]);
    end = lseek(sparse, start, SEEK_HOLE);
    CHECK(end == at[i] + 4096);
    fill(piece, 4096, 100 + i);
    CHECK(pread(sparse, got, 4096, at[i]) == 4096 && memcmp(piece, got, 4096) == 0);
  }
  CHECK(lseek(sparse, end, SEEK_DATA) == -1 && errno == ENXIO);
  CHECK(pread(sparse, got, 4096, 5 * 1024 * MIB) == 100);
  right();
}
