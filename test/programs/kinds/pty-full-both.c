// Terminals that are full, one way and the other, however they were filled; lines, and none; what there was no room for is looked
// at when there is, as the terminal is set. Also where the move fails first.
// fails: shape resume
#include "kind.h"
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#define MOST (1 << 17)
static const int SIZES[] = {10, 1, 256, 2048, 4096, 300};
#define PAIRS (int)(sizeof SIZES / sizeof *SIZES)

struct side {
  int fd, other;
  long size;
  unsigned char *bytes;
};

// Lines of a hundred bytes, none of which means anything else to a terminal.
static unsigned char byte_at(long i) { return i % 100 == 99 ? '\n' : 'a' + i % 23; }

static void fill(struct side *s, int piece) {
  static unsigned char all[MOST];
  for (long i = 0; i < MOST; i++) all[i] = byte_at(i);
  fcntl(s->fd, F_SETFL, O_NONBLOCK | fcntl(s->fd, F_GETFL));
  // What is on its way makes room a moment later.
  for (int turn = 0; turn < 5; turn++, usleep(20000))
    for (long n; s->size < MOST - piece && (n = write(s->fd, all + s->size, piece)) > 0;) s->size += n;
  fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_NONBLOCK);
  CHECK(s->size > 4096 && s->size < MOST - piece);
}

static void drain(struct side *s) {
  static unsigned char got[MOST];
  long size = 0, n;
  struct pollfd p = {.fd = s->other, .events = POLLIN};
  while (size < s->size && poll(&p, 1, 2000) == 1 && (n = read(s->other, got + size, MOST - size)) > 0) size += n;
  if (size != s->size) printf("broken: %ld of %ld bytes\n", size, s->size);
  CHECK(size == s->size);
  for (long i = 0; i < size; i++) CHECK(got[i] == byte_at(i));
  CHECK(poll(&p, 1, 50) == 0);
}

int main(void) {
  struct side in[PAIRS], out[PAIRS];
  memset(in, 0, sizeof in), memset(out, 0, sizeof out);
  for (int i = 0; i < PAIRS; i++) {
    int m = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(m >= 0 && grantpt(m) == 0 && unlockpt(m) == 0);
    int s = open(ptsname(m), O_RDWR | O_NOCTTY);
    struct termios t;
    CHECK(s >= 0 && tcgetattr(s, &t) == 0);
    if (i % 2 == 0) cfmakeraw(&t);
    t.c_lflag &= ~ECHO, t.c_oflag &= ~OPOST;
    CHECK(tcsetattr(s, TCSANOW, &t) == 0);
    in[i].fd = out[i].other = m, in[i].other = out[i].fd = s;
    fill(&in[i], SIZES[i]), fill(&out[i], SIZES[i]);
  }
  moved();
  for (int i = 0; i < PAIRS; i++) {
    // Of lines, the last can be read when it ends.
    long rest = i % 2 == 0 ? 0 : in[i].size % 100;
    char line[200], c = byte_at(in[i].size - rest);
    in[i].size -= rest;
    drain(&in[i]), drain(&out[i]);
    if (rest > 0) CHECK(write(in[i].fd, "\n", 1) == 1 && read(in[i].other, line, 200) == rest + 1 && line[0] == c);
  }
  for (int i = 0; i < PAIRS; i++) {
    char c;
    CHECK(write(in[i].fd, "x\n", 2) == 2 && read(in[i].other, &c, 1) == 1 && c == 'x');
    CHECK(write(out[i].fd, "y", 1) == 1 && read(out[i].other, &c, 1) == 1 && c == 'y');
  }
  right();
}
