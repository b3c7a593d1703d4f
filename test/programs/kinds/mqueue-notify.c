// refused: mq_notify
// A POSIX message queue that will tell of a message.
#include "kind.h"
#include <mqueue.h>
int main(void) {
  mqd_t q = mq_open("/tells", O_RDWR | O_CREAT, 0600, 0);
  struct sigevent tell = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  CHECK(q >= 0 && mq_notify(q, &tell) == 0);
  moved();
  right();
}
