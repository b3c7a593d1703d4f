// fails: finish resume
// POSIX message queues: open and not, with messages of several priorities, an owner, limits; one that has lost its name, two
// descriptions of one queue.
#include "kind.h"
#include <mqueue.h>
static void get(mqd_t q, const char *text, unsigned priority) {
  char out[9000];
  unsigned got;
  ssize_t n = mq_receive(q, out, sizeof out, &got);
  CHECK(n == (ssize_t)strlen(text) && !memcmp(out, text, n) && got == priority);
}
int main(void) {
  struct mq_attr attr = {.mq_maxmsg = 7, .mq_msgsize = 100}, now;
  mqd_t q = mq_open("/first", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640, &attr);
  CHECK(q >= 0 && mq_send(q, "low", 3, 1) == 0 && mq_send(q, "high", 4, 9) == 0 && mq_send(q, "low again", 9, 1) == 0 && mq_send(q, "", 0, 3) == 0);
  CHECK(fchown(q, 5, 6) == 0);
  mqd_t writer = mq_open("/first", O_WRONLY | O_NONBLOCK);
  mqd_t closed = mq_open("/closed queue", O_RDWR | O_CREAT, 0600, 0);
  CHECK(mq_send(closed, "nobody has me open", 18, 5) == 0 && mq_close(closed) == 0);
  mqd_t gone = mq_open("/gone", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr), again = dup(gone);
  char path[40];
  sprintf(path, "/proc/self/fd/%d", gone);
  int other = open(path, O_RDONLY);
  CHECK(mq_send(gone, "still here", 10, 2) == 0 && mq_unlink("/gone") == 0);
  mqd_t successor = mq_open("/gone", O_RDWR | O_CREAT, 0600, 0);
  CHECK(mq_send(successor, "another", 7, 0) == 0 && mq_close(successor) == 0);
  moved();
  struct stat st;
  CHECK(mq_getattr(q, &now) == 0 && now.mq_maxmsg == 7 && now.mq_msgsize == 100 && now.mq_curmsgs == 4 && now.mq_flags == 0);
  CHECK(mq_getattr(writer, &now) == 0 && now.mq_flags == O_NONBLOCK);
  CHECK(fstat(q, &st) == 0 && st.st_uid == 5 && st.st_gid == 6 && (st.st_mode & 0777) == 0640);
  CHECK(mq_send(writer, "new", 3, 9) == 0 && mq_receive(writer, path, 100, 0) == -1 && errno == EBADF);
  get(q, "high", 9), get(q, "new", 9), get(q, "", 3), get(q, "low", 1), get(q, "low again", 1);
  closed = mq_open("/closed queue", O_RDWR);
  CHECK(closed >= 0);
  get(closed, "nobody has me open", 5);
  get(other, "still here", 2);
  CHECK(mq_send(again, "x", 1, 0) == 0);
  get(gone, "x", 0);
  CHECK(mq_receive(gone, path, 100, 0) == -1 && errno == EAGAIN);
  successor = mq_open("/gone", O_RDONLY);
  get(successor, "another", 0);
  CHECK(mq_unlink("/first") == 0 && mq_unlink("/closed queue") == 0 && mq_unlink("/gone") == 0);
  right();
}
