// refused: ^very many messages in queues$
// More messages in a queue than are looked at one by one.
#include "kind.h"
#include <sys/ipc.h>
#include <sys/msg.h>

int main(void) {
  FILE *f = fopen("/proc/sys/kernel/msgmnb", "w");
  CHECK(f && fputs("1000000", f) >= 0 && fclose(f) == 0);
  int q = msgget(IPC_PRIVATE, 0600);
  struct msqid_ds s;
  struct { long type; char text[1]; } m = {1, ""};
  CHECK(q >= 0);
  for (int i = 0; i < 50001; i++) CHECK(msgsnd(q, &m, 0, IPC_NOWAIT) == 0);
  moved();
  CHECK(msgctl(q, IPC_STAT, &s) == 0 && s.msg_qnum == 50001);
  right();
}
