// fails: finish resume
// What a program has told the kernel about its memory: locks, advice, names, droppable memory, memory that is sealed.
#include "kind.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#define PAGE 4096
#define MAP_DROPPABLE 8
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

// The line of a mapping in smaps that begins so.
static void line(void *at, const char *name, char *out) {
  char text[500], want[40];
  sprintf(want, "%lx-", (unsigned long)at);
  FILE *f = fopen("/proc/self/smaps", "r");
  int found = 0;
  out[0] = 0;
  while (fgets(text, sizeof text, f)) {
    unsigned long from, to;
    if (sscanf(text, "%lx-%lx ", &from, &to) == 2) found = from <= (unsigned long)at && (unsigned long)at < to, found && !*name ? strcpy(out, text) : 0;
    if (found && *name && !strncmp(text, name, strlen(name))) strcpy(out, text);
  }
  fclose(f);
}
static char *area(int pages, int flags) {
  // Apart from others, so that the kernel does not make one of them.
  char *p = mmap(0, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  CHECK(mprotect(p + PAGE, pages * PAGE, PROT_READ | PROT_WRITE) == 0);
  memset(p + PAGE, 7, pages * PAGE);
  return p + PAGE;
}
static int has(void *at, const char *flag) {
  char text[500], want[10];
  line(at, "VmFlags:", text);
  sprintf(want, " %s ", flag);
  return strstr(text, want) != 0;
}
int main(void) {
  static const struct { int advice; const char *flag; } all[] = {{MADV_RANDOM, "rr"}, {MADV_SEQUENTIAL, "sr"}, {MADV_DONTFORK, "dc"}, {MADV_DONTDUMP, "dd"}, {MADV_HUGEPAGE, "hg"}, {MADV_NOHUGEPAGE, "nh"}, {MADV_WIPEONFORK, "wf"}};
  enum { COUNT = sizeof all / sizeof all[0] };
  char *at[COUNT];
  for (int i = 0; i < COUNT; i++) {
    at[i] = area(3, 0);
    CHECK(madvise(at[i], 3 * PAGE, all[i].advice) == 0);
  }
  char *locked = area(3, 0), *fault = area(3, 0), *reserve = area(3, MAP_NORESERVE), *named = area(3, 0), *sealed = area(3, 0);
  CHECK(mlock(locked, 3 * PAGE) == 0 && mlock2(fault, 3 * PAGE, MLOCK_ONFAULT) == 0);
  int names = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 3 * PAGE, "a name: of (mine)") == 0;
  char *droppable = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
  CHECK(syscall(SYS_mseal, sealed, 3 * PAGE, 0) == 0 && munmap(sealed, PAGE) == -1);
  CHECK(mlockall(MCL_FUTURE) == 0);
  char text[500];
  line(named, "", text);
  CHECK(!names || strstr(text, "[anon:a name: of (mine)]"));
  moved();
  for (int i = 0; i < COUNT; i++) CHECK(has(at[i], all[i].flag) && at[i][PAGE] == 7);
  CHECK(has(locked, "lo") && has(fault, "lo") && has(fault, "lf") && !has(locked, "lf"));
  CHECK(has(reserve, "nr") && !has(locked, "nr") && !has(at[0], "nr"));
  line(named, "", text);
  CHECK(!names || strstr(text, "[anon:a name: of (mine)]"));
  CHECK(droppable == MAP_FAILED || has(droppable, "dp"));
  CHECK(munmap(sealed, PAGE) == -1 && errno == EPERM && sealed[2 * PAGE] == 7);
  char *more = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(has(more, "lo"));
  right();
}
