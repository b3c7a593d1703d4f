// Threads that wait until somebody opens the other end of a FIFO: they wait on, whatever way they name it, and also where an end of
// the same sort is open; then they are let go on. Also where the move fails first.
// fails: shape resume
#include "file.h"
#include <pthread.h>

#define DIR_ "/tmp/fifo-awaited"
static struct opening {
  const char *path;
  int flags;
  volatile int fd;
} all[] = {{DIR_ "/read", O_RDONLY}, {DIR_ "/write", O_WRONLY}, {"fifo-awaited/near", O_RDONLY}, {DIR_ "/both", O_RDONLY}};
#define ALL (int)(sizeof all / sizeof *all)

static void *wait_for(void *arg) {
  struct opening *o = arg;
  o->fd = open(o->path, o->flags);
  return 0;
}

int main(void) {
  pthread_t threads[ALL];
  own_folder(DIR_);
  CHECK(chdir("/tmp") == 0);
  for (int i = 0; i < ALL; i++) {
    CHECK(mkfifo(all[i].path, 0640) == 0 || errno == EEXIST);
    all[i].fd = -1000;
  }
  int reader = open(DIR_ "/both", O_RDONLY | O_NONBLOCK);
  CHECK(reader >= 0);
  for (int i = 0; i < ALL; i++) CHECK(pthread_create(&threads[i], 0, wait_for, &all[i]) == 0);
  usleep(200000);
  moved();
  usleep(300000);
  for (int i = 0; i < ALL; i++) {
    if (all[i].fd != -1000) printf("broken: %s has been opened: %d\n", all[i].path, all[i].fd);
    CHECK(all[i].fd == -1000);
  }
  for (int i = 0; i < ALL; i++) {
    int other = open(all[i].path, (all[i].flags == O_RDONLY ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
    CHECK(other >= 0 && pthread_join(threads[i], 0) == 0 && all[i].fd >= 0);
    int from = all[i].flags == O_RDONLY ? all[i].fd : other, to = all[i].flags == O_RDONLY ? other : all[i].fd;
    char c;
    CHECK(write(to, "x", 1) == 1 && read(from, &c, 1) == 1 && c == 'x');
  }
  right();
}
