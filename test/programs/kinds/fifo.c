// Named FIFOs: both ends and what waits between them, also in another process; one end only; an end that has seen the last
// writer go, and one that has not; more than a page of contents; a size of its own;
// packets.
#include "file.h"
#include <poll.h>
#include <sys/ioctl.h>

#define DIR_ "/tmp/fifo"
static int go[2], in, out;
static void use(void) {
  char c;
  close(in);
  CHECK(read(go[0], &c, 1) == 1);
  CHECK(write(out, "child", 5) == 5);
}

static int made(const char *path, int flags) {
  CHECK(mkfifo(path, 0640) == 0 || errno == EEXIST);
  int fd = open(path, flags);
  CHECK(fd >= 0);
  return fd;
}

static short state(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
  CHECK(poll(&p, 1, 0) >= 0);
  return p.revents;
}

int main(void) {
  static unsigned char want[200000], got[200000];
  own_folder(DIR_);
  in = made(DIR_ "/both", O_RDONLY | O_NONBLOCK), out = made(DIR_ "/both", O_WRONLY);
  CHECK(write(out, "waiting", 7) == 7);
  CHECK(chown(DIR_ "/both", 3, 4) == 0);
  int fresh = made(DIR_ "/fresh", O_RDONLY | O_NONBLOCK);
  int left = made(DIR_ "/left", O_RDONLY | O_NONBLOCK), gone = made(DIR_ "/left", O_WRONLY);
  CHECK(write(gone, "last", 4) == 4 && close(gone) == 0);
  int alone = made(DIR_ "/alone", O_RDWR);
  CHECK(fcntl(alone, F_SETPIPE_SZ, 1 << 20) == 1 << 20);
  fill(want, sizeof want, 3);
  CHECK(write(alone, want, sizeof want) == sizeof want);
  gone = made(DIR_ "/writer", O_RDONLY | O_NONBLOCK);
  int writer = made(DIR_ "/writer", O_WRONLY | O_NONBLOCK);
  CHECK(write(writer, "unread", 6) == 6 && close(gone) == 0);
  CHECK(fcntl(in, F_SETFL, 0) == 0);
  int packets = made(DIR_ "/packets", O_RDONLY | O_NONBLOCK), packer = made(DIR_ "/packets", O_WRONLY);
  CHECK(fcntl(packer, F_SETFL, O_DIRECT) == 0);
  for (int i = 1; i <= 3; i++) CHECK(write(packer, "abc", i) == i);
  short was[] = {state(in), state(fresh), state(left), state(alone), state(writer)};
  struct stat before = stat_of(in);
  CHECK(pipe(go) == 0);
  pid_t pid = child(use);
  close(out);
  moved();
  short is[] = {state(in), state(fresh), state(left), state(alone), state(writer)};
  for (int i = 0; i < 5; i++) CHECK(is[i] == was[i]);
  struct stat there;
  CHECK(stat(DIR_ "/both", &there) == 0 && same_file(there, stat_of(in)) && there.st_uid == 3 && there.st_gid == 4);
  CHECK(there.st_mode == before.st_mode);
  CHECK((fcntl(in, F_GETFL) & O_NONBLOCK) == 0 && (fcntl(fresh, F_GETFL) & O_NONBLOCK) != 0);
  CHECK(read(in, got, 7) == 7 && memcmp(got, "waiting", 7) == 0);
  CHECK(write(go[1], "x", 1) == 1);
  CHECK(read(in, got, 5) == 5 && memcmp(got, "child", 5) == 0);
  ends_well(pid);
  CHECK(read(in, got, 5) == 0);
  CHECK(read(fresh, got, 1) == 0);
  CHECK(read(left, got, 9) == 4 && read(left, got, 9) == 0);
  CHECK(fcntl(alone, F_GETPIPE_SZ) == 1 << 20);
  CHECK(read(alone, got, sizeof got) == sizeof got && memcmp(got, want, sizeof got) == 0);
  for (int i = 1; i <= 3; i++) CHECK(read(packets, got, 9) == i);
  CHECK((fcntl(packer, F_GETFL) & O_DIRECT) != 0 && write(packer, "ab", 2) == 2 && write(packer, "c", 1) == 1);
  CHECK(read(packets, got, 9) == 2 && read(packets, got, 9) == 1);
  int again = open(DIR_ "/writer", O_RDONLY);
  CHECK(again >= 0 && read(again, got, 9) == 6 && memcmp(got, "unread", 6) == 0);
  CHECK(write(writer, "more", 4) == 4 && read(again, got, 9) == 4);
  close(again);
  CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && write(writer, "x", 1) == -1 && errno == EPIPE);
  right();
}
