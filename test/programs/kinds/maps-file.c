// Mappings of files: private pages written and not, private ones of a memfd and of /dev/zero, pages beyond the end of a file,
// shared ones that may and that may not be made writable.
#include "kind.h"
#include <sys/mman.h>
#include <setjmp.h>
#define PAGE 4096
static sigjmp_buf back;
static void bus(int s) { siglongjmp(back, s); }
static int faults(volatile char *p) {
  signal(SIGBUS, bus), signal(SIGSEGV, bus);
  int s = sigsetjmp(back, 1);
  if (s == 0) (void)*p;
  return s;
}
int main(void) {
  int fd = open("/tmp/maps-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
  for (int i = 0; i < 4; i++) CHECK(pwrite(fd, "file", 4, i * PAGE) == 4);
  char *priv = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *offset = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE);
  strcpy(priv + PAGE, "mine");
  strcpy(offset + PAGE, "other");
  char *later = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  int ro = open("/tmp/maps-file", O_RDONLY);
  char *never = mmap(0, PAGE, PROT_READ, MAP_SHARED, ro, 0);
  close(ro);
  int short_fd = open("/tmp/maps-short", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(ftruncate(short_fd, 3 * PAGE) == 0 && pwrite(short_fd, "a", 1, 0) == 1 && pwrite(short_fd, "c", 1, 2 * PAGE) == 1);
  char *cut = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, short_fd, 0);
  CHECK(cut[2 * PAGE] == 'c');
  cut[0] = 'A';
  CHECK(ftruncate(short_fd, PAGE) == 0 && faults(cut + 2 * PAGE) == SIGBUS);

  int m = memfd_create("m", 0);
  CHECK(ftruncate(m, 3 * PAGE) == 0 && pwrite(m, "memfd", 6, PAGE) == 6);
  char *pm = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, m, 0);
  strcpy(pm, "private");
  int zero = open("/dev/zero", O_RDWR);
  char *pz = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
  strcpy(pz + PAGE, "zero");
  char *sz = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
  strcpy(sz + PAGE, "shared zero");
  close(zero);
  moved();
  CHECK(!strcmp(priv + PAGE, "mine") && !strncmp(priv, "file", 4) && !strcmp(offset + PAGE, "other"));
  CHECK(pwrite(fd, "new!", 4, 2 * PAGE) == 4 && !strncmp(priv + 2 * PAGE, "new!", 4) && !strncmp(offset, "new!", 4));
  CHECK(mprotect(later, PAGE, PROT_READ | PROT_WRITE) == 0);
  strcpy(later, "written");
  char text[8];
  CHECK(pread(fd, text, 8, 0) == 8 && !strcmp(text, "written"));
  CHECK(mprotect(never, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES && !strcmp(never, "written"));
  CHECK(cut[0] == 'A' && cut[1] == 0 && faults(cut + PAGE) == SIGBUS && faults(cut + 2 * PAGE) == SIGBUS);
  CHECK(ftruncate(short_fd, 3 * PAGE) == 0 && cut[2 * PAGE] == 0);
  CHECK(!strcmp(pm, "private") && !strcmp(pm + PAGE, "memfd") && pwrite(m, "x", 1, 2 * PAGE) == 1 && pm[2 * PAGE] == 'x');
  CHECK(!strcmp(pz + PAGE, "zero") && pz[0] == 0 && !strcmp(sz + PAGE, "shared zero"));
  right();
}
