// fails: finish resume
// System V message queues: ids, keys, messages of several types in order, limits; a large one.
#include "kind.h"
#include <sys/ipc.h>
#include <sys/msg.h>

struct message {
  long type;
  char text[8192];
};

static void put(int id, long type, const char *text, size_t length) {
  static struct message m;
  m.type = type;
  memset(m.text, 0, sizeof m.text);
  strcpy(m.text, text);
  CHECK(msgsnd(id, &m, length, IPC_NOWAIT) == 0);
}

static void get(int id, long want, long type, const char *text, size_t length) {
  static struct message m;
  CHECK(msgrcv(id, &m, sizeof m.text, want, IPC_NOWAIT) == (ssize_t)length);
  CHECK(m.type == type && (length == 0 || !strcmp(m.text, text)));
}

int main(void) {
  int zero = msgget(8, IPC_CREAT | 0640), gone = msgget(IPC_PRIVATE, 0600), id = msgget(9, IPC_CREAT | 0600);
  CHECK(zero == 0 && gone > 0 && id > 0 && msgctl(gone, IPC_RMID, 0) == 0);
  put(zero, 3, "three", 6);
  put(zero, 1, "one", 4);
  put(zero, 3, "three again", 12);
  put(zero, 9, "", 0);
  struct msqid_ds ds;
  CHECK(msgctl(id, IPC_STAT, &ds) == 0);
  ds.msg_qbytes = 4 << 20;
  ds.msg_perm.uid = 55;
  CHECK(msgctl(id, IPC_SET, &ds) == 0);
  char text[16];
  for (int i = 0; i < 500; i++) {
    sprintf(text, "large %d", i);
    put(id, i + 1, text, i % 3 == 0 ? 8192 : i % 3 == 1 ? 100 : 1025);
  }
  moved();
  CHECK(msgget(8, 0) == zero && msgget(9, 0) == id);
  CHECK(msgctl(zero, IPC_STAT, &ds) == 0 && ds.msg_qnum == 4 && ds.msg_qbytes == 16384 && (ds.msg_perm.mode & 0777) == 0640);
  get(zero, 1, 1, "one", 4);
  get(zero, 0, 3, "three", 6);
  get(zero, 0, 3, "three again", 12);
  get(zero, 0, 9, "", 0);
  CHECK(msgctl(id, IPC_STAT, &ds) == 0 && ds.msg_qnum == 500 && ds.msg_qbytes == 4 << 20 && ds.msg_perm.uid == 55);
  for (int i = 0; i < 500; i++) {
    sprintf(text, "large %d", i);
    get(id, 0, i + 1, text, i % 3 == 0 ? 8192 : i % 3 == 1 ? 100 : 1025);
  }
  right();
}
