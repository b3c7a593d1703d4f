// A process that may have no memory that is both written and executed: also when it is moved, and afterwards.
#include "kind.h"
#include <sys/mman.h>
#include <sys/prctl.h>

int main(void) {
  CHECK(prctl(65, 1, 0, 0, 0) == 0);
  moved();
  CHECK(prctl(66, 0, 0, 0, 0) == 1);
  CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
  right();
}
