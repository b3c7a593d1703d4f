// refused: /dev/(console|ttyS0)
#include "kind.h"

int main(void) {
  int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK);
  CHECK(fd >= 0);
  moved();
  right();
}
