// Processes that are stopped, continued and ended all the time, and parents that wait for each.
#include "busy.h"

int main(void) {
  void (*workers[])(volatile uint64_t *) = {stops, stops, stops, stops};
  all_busy(workers, 4, 0);
  right();
}
