// Terminals whose output nobody reads, full to the last byte, by writes of different lengths: all of it is there, in order.
// hops: 4
#include "kind.h"
#include <sys/ioctl.h>
#include <termios.h>

static const int sizes[] = {1, 6, 100, 255, 256, 257, 1000, 1792, 2048, 4096};
#define PAIRS ((int)(sizeof sizes / sizeof *sizes))
static int masters[PAIRS], slaves[PAIRS];
static size_t wrote[PAIRS];

static char byte_at(size_t i) { return 'a' + (i * 7 + i / 251) % 26; }

static void fill(int i) {
  char piece[4096];
  for (int full = 0; full < 20;) {
    for (int k = 0; k < sizes[i]; k++) piece[k] = byte_at(wrote[i] + k);
    ssize_t n = write(slaves[i], piece, sizes[i]);
    CHECK(n > 0 || (n < 0 && errno == EAGAIN));
    if (n > 0) wrote[i] += n, full = 0;
    else full++, usleep(1000);
  }
}

int main(void) {
  for (int i = 0; i < PAIRS; i++) {
    CHECK((masters[i] = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)) >= 0 && unlockpt(masters[i]) == 0);
    CHECK((slaves[i] = open(ptsname(masters[i]), O_RDWR | O_NOCTTY | O_NONBLOCK)) >= 0);
    struct termios t;
    CHECK(tcgetattr(slaves[i], &t) == 0);
    cfmakeraw(&t);
    CHECK(tcsetattr(slaves[i], TCSANOW, &t) == 0);
    // Small buffers that were emptied are used again.
    if (i % 2 == 1) {
      for (int k = 0; k < 3000; k++) CHECK(write(slaves[i], "x", 1) == 1);
      char all[4096];
      for (int got = 0; got < 3000;) {
        ssize_t n = read(masters[i], all, sizeof all);
        CHECK(n > 0 || errno == EAGAIN);
        if (n > 0) got += n;
      }
    }
    fill(i);
  }
  moved();
  for (int i = 0; i < PAIRS; i++) {
    char all[8192];
    size_t at = 0;
    for (ssize_t n; (n = read(masters[i], all, sizeof all)) > 0; at += n)
      for (ssize_t k = 0; k < n; k++) CHECK(all[k] == byte_at(at + k));
    CHECK(errno == EAGAIN);
    if (at != wrote[i]) printf("broken: %d: %zu of %zu\n", sizes[i], at, wrote[i]);
    CHECK(at == wrote[i]);
  }
  right();
}
