// A move that fails is not seen by when files were last read: links, folders and files in memory of the program's own, folders in which names
// of a file are looked for, the file behind a mapping, one with a lease, and a deleted link.
// fails: shape files finish
// hops: 0
#include "file.h"
#include <sys/mman.h>
#include <sys/mount.h>

#define MINE "/mnt/access-times"
#define DIR_ "/tmp/access-times"

static void same_times(const struct stat *a, const char *path) {
  struct stat b;
  CHECK(lstat(path, &b) == 0);
  CHECK(a->st_mtim.tv_sec == b.st_mtim.tv_sec && a->st_mtim.tv_nsec == b.st_mtim.tv_nsec);
  if (a->st_atim.tv_sec == b.st_atim.tv_sec && a->st_atim.tv_nsec == b.st_atim.tv_nsec) return;
  printf("broken: %s was read\n", path);
  fflush(stdout);
  _exit(1);
}

int main(void) {
  static const char *const paths[] = {MINE "/folder", MINE "/folder/link", MINE "/folder/file", DIR_ "/names", DIR_ "/leased"};
  struct stat before[5];
  own_folder(DIR_);
  mkdir("/mnt", 0755);
  mkdir(MINE, 0755);
  CHECK(mount("mine", MINE, "tmpfs", 0, "") == 0 && mkdir(MINE "/folder", 0755) == 0);
  int file = open(MINE "/folder/file", O_RDWR | O_CREAT, 0600);
  CHECK(file >= 0 && write(file, "x", 1) == 1 && symlink("nowhere", MINE "/folder/link") == 0);
  CHECK(mkdir(DIR_ "/names", 0755) == 0);
  int linked = open(DIR_ "/gone", O_RDWR | O_CREAT, 0600);
  CHECK(linked >= 0 && link(DIR_ "/gone", DIR_ "/names/other") == 0 && unlink(DIR_ "/gone") == 0);
  int leased = open(DIR_ "/leased", O_RDWR | O_CREAT, 0600);
  CHECK(leased >= 0 && write(leased, "contents", 8) == 8 && fcntl(leased, F_SETLEASE, F_WRLCK) == 0);
  CHECK(symlink("nowhere", DIR_ "/link") == 0);
  int gone = open(DIR_ "/link", O_PATH | O_NOFOLLOW), memory = memfd_create("memory", 0);
  CHECK(gone >= 0 && unlink(DIR_ "/link") == 0 && memory >= 0 && ftruncate(memory, 4096) == 0);
  CHECK(*(char *)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == 0);
  for (int i = 0; i < 5; i++) CHECK(lstat(paths[i], &before[i]) == 0);
  struct stat gone_before = stat_of(gone), memory_before = stat_of(memory);
  moved();
  for (int i = 0; i < 5; i++) same_times(&before[i], paths[i]);
  same_stat(gone_before, stat_of(gone));
  same_stat(memory_before, stat_of(memory));
  right();
}
