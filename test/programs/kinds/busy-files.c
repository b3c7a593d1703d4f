// Files that are made, written, renamed, linked, cut and removed all the time, locks that several want, folders that are read.
// data: /busy-files
#include "busy.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/file.h>

#define AT "/busy-files/at"

static void text(char *to, const char *name, uint64_t n) { snprintf(to, 100, AT "/%s-%lu", name, (unsigned long)n % 7); }

static void makes(volatile uint64_t *turns) {
  char a[100], b[100], got[5000], want[5000];
  text(a, "a", *turns), text(b, "b", *turns + 3);
  int fd = open(a, O_CREAT | O_EXCL | O_RDWR, 0640);
  CHECK(fd >= 0);
  for (int i = 0; i < 5000; i++) want[i] = i * 7 + *turns;
  CHECK(write(fd, want, 2000) == 2000 && pwrite(fd, want + 2000, 3000, 2000) == 3000);
  CHECK(rename(a, b) == 0 && access(a, F_OK) == -1 && errno == ENOENT);
  CHECK(pread(fd, got, 5000, 0) == 5000 && memcmp(got, want, 5000) == 0);
  CHECK(lseek(fd, 0, SEEK_CUR) == 2000);
  CHECK(ftruncate(fd, 100) == 0);
  struct stat s;
  CHECK(stat(b, &s) == 0 && s.st_size == 100 && s.st_nlink == 1);
  CHECK(link(b, a) == 0 && unlink(b) == 0 && fstat(fd, &s) == 0 && s.st_nlink == 1);
  CHECK(unlink(a) == 0 && fstat(fd, &s) == 0 && s.st_nlink == 0);
  CHECK(write(fd, want, 10) == 10 && pread(fd, got, 10, 2000) == 10 && memcmp(got, want, 10) == 0);
  CHECK(close(fd) == 0);
  ++*turns;
}

static void appends(volatile uint64_t *turns) {
  int fd = open(AT "/log", O_CREAT | O_WRONLY | O_APPEND, 0644);
  CHECK(fd >= 0);
  uint64_t n = *turns;
  CHECK(write(fd, &n, 8) == 8 && close(fd) == 0);
  if (n % 64 == 63) {
    uint64_t all[64];
    fd = open(AT "/log", O_RDONLY);
    CHECK(fd >= 0 && read(fd, all, sizeof all) == sizeof all);
    for (int i = 0; i < 64; i++) CHECK(all[i] == n - 63 + i);
    CHECK(close(fd) == 0 && truncate(AT "/log", 0) == 0);
  }
  ++*turns;
}

// Whoever has the lock finds what the one before has left whole.
static void counts(volatile uint64_t *turns, int how) {
  int fd = open(how ? AT "/counted" : AT "/counted-by-record", O_CREAT | O_RDWR, 0644);
  uint64_t two[2] = {0, 0};
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  CHECK(fd >= 0 && (how ? flock(fd, LOCK_EX) : fcntl(fd, F_SETLKW, &whole)) == 0);
  CHECK(pread(fd, two, 16, 0) >= 0 && two[0] == two[1]);
  two[0]++;
  CHECK(pwrite(fd, &two[0], 8, 0) == 8);
  two[1]++;
  CHECK(pwrite(fd, &two[1], 8, 8) == 8);
  CHECK(close(fd) == 0);
  ++*turns;
}
static void flocks(volatile uint64_t *turns) { counts(turns, 1); }
static void records(volatile uint64_t *turns) { counts(turns, 0); }

static void reads_folder(volatile uint64_t *turns) {
  DIR *d = opendir(AT "/still");
  CHECK(d != 0);
  int seen[40] = {0};
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] == 'f') seen[atoi(e->d_name + 1)]++;
  for (int i = 0; i < 40; i++)
    if (seen[i] != 1) printf("file %d was there %d times\n", i, seen[i]);
  for (int i = 0; i < 40; i++) CHECK(seen[i] == 1);
  CHECK(closedir(d) == 0);
  ++*turns;
}

static void nameless(volatile uint64_t *turns) {
  int fd = open(AT, O_TMPFILE | O_RDWR, 0600);
  char c = 'n', name[40];
  struct stat s;
  CHECK(fd >= 0 && pwrite(fd, &c, 1, 9999) == 1);
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  CHECK(linkat(AT_FDCWD, name, AT_FDCWD, AT "/named", AT_SYMLINK_FOLLOW) == 0);
  CHECK(stat(AT "/named", &s) == 0 && s.st_size == 10000 && unlink(AT "/named") == 0 && close(fd) == 0);
  ++*turns;
}

static void folders(volatile uint64_t *turns) {
  struct stat s;
  char back[40];
  CHECK(mkdir(AT "/d", 0755) == 0 && chdir(AT "/d") == 0 && mkdir("e", 0700) == 0);
  CHECK(getcwd(back, sizeof back) && strcmp(back, AT "/d") == 0);
  CHECK(symlink("nowhere", "e/link") == 0 && readlink("e/link", back, sizeof back) == 7);
  CHECK(lstat(AT "/d/e/link", &s) == 0 && S_ISLNK(s.st_mode) && unlink("e/link") == 0);
  CHECK(rmdir("e") == 0 && rmdir(AT "/d") == 0 && getcwd(back, sizeof back) == 0 && errno == ENOENT);
  CHECK(chdir("/") == 0);
  ++*turns;
}

static int removes(const char *path, const struct stat *s, int type, struct FTW *where) { return remove(path); }

int main(void) {
  CHECK(mkdir(AT, 0755) == 0 && mkdir(AT "/still", 0755) == 0);
  for (int i = 0; i < 40; i++) {
    char name[100];
    snprintf(name, sizeof name, AT "/still/f%d", i);
    CHECK(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0);
  }
  void (*workers[])(volatile uint64_t *) = {makes, appends, flocks, flocks, records, records, reads_folder, nameless, folders};
  all_busy(workers, 9, 0);
  CHECK(nftw(AT, removes, 9, FTW_DEPTH | FTW_PHYS) == 0);
  right();
}
