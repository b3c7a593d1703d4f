// Mappings at unusual places: the vDSO where the program has put it, the highest addresses there are. (The lowest are the program's own.)
#include "kind.h"
#include <sys/auxv.h>
#include <sys/mman.h>
#define PAGE 4096
int main(void) {
  char *high = mmap((void *)0x3fffffe000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  // Or the stack has it.
  if (high != MAP_FAILED) strcpy(high, "high");
  unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
  CHECK(vdso != 0);
  char *space = mmap(0, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[300];
  unsigned long start, end, from = 0, to = 0;
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[vvar") || strstr(line, "[vdso]")) {
      CHECK(sscanf(line, "%lx-%lx", &start, &end) == 2);
      if (from == 0) from = start;
      to = end;
    }
  fclose(maps);
  CHECK(to - from < 60 * PAGE && munmap(space, 64 * PAGE) == 0);
  maps = fopen("/proc/self/maps", "r");
  char lines[20][300];
  int count = 0;
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[vvar") || strstr(line, "[vdso]")) strcpy(lines[count++], line);
  fclose(maps);
  for (int i = 0; i < count; i++) {
    CHECK(sscanf(lines[i], "%lx-%lx", &start, &end) == 2);
    CHECK(mremap((void *)start, end - start, end - start, MREMAP_MAYMOVE | MREMAP_FIXED, space + PAGE + (start - from)) != MAP_FAILED);
  }
  moved();
  CHECK(high == MAP_FAILED || !strcmp(high, "high"));
  CHECK(!memcmp(space + PAGE + (vdso - from), "\177ELF", 4));
  right();
}
