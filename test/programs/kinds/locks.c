// Locks of files: flock, shared with a child and exclusive; record locks of two processes; open file description locks; who
// waits for one gets it when it is free.
#include "file.h"
#include <sys/file.h>

#define DIR_ "/tmp/locks"
static int go[2], done[2], records;

static int lock(int fd, int command, short type, off_t start, off_t length) {
  struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &l);
}

// Who has a part of the file locked for writing, as seen by the caller: 0 nobody, -1 an open file.
static pid_t holder(int fd, off_t start, off_t length, short *type, off_t *from, off_t *to) {
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  CHECK(fcntl(fd, F_GETLK, &l) == 0);
  *type = l.l_type, *from = l.l_start, *to = l.l_len;
  return l.l_type == F_UNLCK ? 0 : l.l_pid;
}

static void second(void) {
  char c;
  CHECK(lock(records, F_SETLK, F_WRLCK, 100, 50) == 0);
  CHECK(write(done[1], "l", 1) == 1);
  CHECK(read(go[0], &c, 1) == 1);
  short type; off_t from, to;
  CHECK(holder(records, 0, 10, &type, &from, &to) == getppid() && type == F_RDLCK && from == 0 && to == 10);
  CHECK(holder(records, 200, 10, &type, &from, &to) == getppid() && type == F_WRLCK && from == 200 && to == 0);
}

static void waiter(void) {
  int fd = open(DIR_ "/flock", O_RDWR);
  CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
  CHECK(write(done[1], "f", 1) == 1);
  for (;;) pause();
}

static void record_waiter(void) {
  int fd = open(DIR_ "/records", O_RDWR);
  CHECK(fd >= 0 && lock(fd, F_SETLKW, F_WRLCK, 300, 1) == 0);
  CHECK(write(done[1], "r", 1) == 1);
  for (;;) pause();
}

int main(void) {
  char c;
  short type; off_t from, to;
  own_folder(DIR_);
  CHECK(pipe(go) == 0 && pipe(done) == 0);
  int ex = open(DIR_ "/flock", O_RDWR | O_CREAT, 0600), dup_ex = dup(ex);
  int sh = open(DIR_ "/shared", O_RDONLY | O_CREAT, 0600), sh2 = open(DIR_ "/shared", O_RDWR);
  records = open(DIR_ "/records", O_RDWR | O_CREAT, 0600);
  int ofd = open(DIR_ "/ofd", O_RDWR | O_CREAT, 0600), gone = open(DIR_ "/gone", O_RDWR | O_CREAT, 0600);
  CHECK(ex >= 0 && dup_ex >= 0 && sh >= 0 && sh2 >= 0 && records >= 0 && ofd >= 0 && gone >= 0);
  CHECK(unlink(DIR_ "/gone") == 0);
  CHECK(flock(ex, LOCK_EX) == 0 && flock(sh, LOCK_SH) == 0 && flock(sh2, LOCK_SH) == 0 && flock(gone, LOCK_EX) == 0);
  CHECK(lock(gone, F_SETLK, F_WRLCK, 5, 5) == 0);
  CHECK(lock(records, F_SETLK, F_RDLCK, 0, 10) == 0 && lock(records, F_SETLK, F_WRLCK, 200, 0) == 0);
  CHECK(lock(ofd, F_OFD_SETLK, F_WRLCK, 7, 3) == 0 && lock(ofd, F_OFD_SETLK, F_RDLCK, 1L << 40, 0) == 0);
  pid_t other = child(second);
  CHECK(read(done[0], &c, 1) == 1 && c == 'l');
  pid_t waits = child(waiter), record_waits = child(record_waiter);
  rest_ms(100);
  moved();
  // A new open file finds them as they were.
  int fd = open(DIR_ "/flock", O_RDWR);
  CHECK(fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
  int shared = open(DIR_ "/shared", O_RDWR);
  CHECK(shared >= 0 && flock(shared, LOCK_EX | LOCK_NB) == -1 && flock(shared, LOCK_SH | LOCK_NB) == 0);
  CHECK(flock(shared, LOCK_UN) == 0 && flock(sh, LOCK_UN) == 0);
  CHECK(flock(shared, LOCK_EX | LOCK_NB) == -1 && flock(sh2, LOCK_UN) == 0 && flock(shared, LOCK_EX | LOCK_NB) == 0);
  CHECK(holder(records, 100, 1, &type, &from, &to) == other && type == F_WRLCK && from == 100 && to == 50);
  int o = open(DIR_ "/ofd", O_RDWR);
  CHECK(o >= 0 && lock(o, F_OFD_SETLK, F_RDLCK, 9, 1) == -1 && errno == EAGAIN && lock(o, F_OFD_SETLK, F_WRLCK, 10, 100) == 0);
  CHECK(lock(o, F_OFD_SETLK, F_RDLCK, 1L << 41, 1) == 0 && lock(o, F_OFD_SETLK, F_WRLCK, 1L << 42, 1) == -1);
  CHECK(holder(o, 7, 1, &type, &from, &to) == -1 && type == F_WRLCK && from == 7 && to == 3);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", gone);
  int g = open(path, O_RDWR);
  CHECK(g >= 0 && flock(g, LOCK_EX | LOCK_NB) == -1 && lock(g, F_OFD_SETLK, F_RDLCK, 5, 1) == -1);
  // The dup has it too: it is free when it is given up by either.
  CHECK(fcntl(done[0], F_SETFL, O_NONBLOCK) == 0 && read(done[0], &c, 1) == -1);
  CHECK(fcntl(done[0], F_SETFL, 0) == 0);
  CHECK(flock(dup_ex, LOCK_UN) == 0 && read(done[0], &c, 1) == 1 && c == 'f');
  CHECK(write(go[1], "x", 1) == 1);
  ends_well(other);
  CHECK(lock(records, F_SETLK, F_UNLCK, 200, 0) == 0 && read(done[0], &c, 1) == 1 && c == 'r');
  CHECK(kill(waits, SIGKILL) == 0 && kill(record_waits, SIGKILL) == 0);
  right();
}
