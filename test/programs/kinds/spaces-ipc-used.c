// refused: System V IPC in an IPC namespace of its own
#include "spaces.h"
#include <sys/msg.h>

int main(void) {
  CHECK(unshare(CLONE_NEWIPC) == 0);
  int id = msgget(5, IPC_CREAT | 0600);
  CHECK(id >= 0);
  moved();
  CHECK(msgget(5, 0) == id);
  right();
}
