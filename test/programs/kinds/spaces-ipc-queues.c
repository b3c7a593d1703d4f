// refused: message queues in an IPC namespace of its own
#include "spaces.h"
#include <mqueue.h>

int main(void) {
  CHECK(unshare(CLONE_NEWIPC) == 0);
  CHECK(mq_open("/inner", O_RDWR | O_CREAT, 0600, 0) != (mqd_t)-1);
  moved();
  right();
}
