// refused: perf_event
// A counter of events.
#include "kind.h"
#include <linux/perf_event.h>
#include <sys/syscall.h>
int main(void) {
  struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_TASK_CLOCK};
  CHECK(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0) >= 0);
  moved();
  right();
}
