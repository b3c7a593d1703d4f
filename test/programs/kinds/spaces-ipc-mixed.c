// refused: a segment of another IPC namespace
// A segment stays attached for who goes to another IPC namespace by setns(2).
#include "spaces.h"
#include <sys/shm.h>

int main(void) {
  int own = open("/proc/self/ns/ipc", O_RDONLY);
  CHECK(own >= 0 && unshare(CLONE_NEWIPC) == 0);
  int other = open("/proc/self/ns/ipc", O_RDONLY);
  CHECK(other >= 0 && setns(own, CLONE_NEWIPC) == 0);
  char *at = shmat(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), 0, 0);
  CHECK(at != (void *)-1 && setns(other, CLONE_NEWIPC) == 0);
  strcpy(at, "here");
  moved();
  CHECK(!strcmp(at, "here"));
  right();
}
