// refused: a socket of
#include "net.h"
#include <linux/if_alg.h>

int main(void) {
  // Whichever the kernel has.
  int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);
  if (fd < 0) fd = socket(AF_KEY, SOCK_RAW, 2);
  if (fd < 0) fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0) fd = socket(AF_XDP, SOCK_RAW, 0);
  CHECK(fd >= 0);
  moved();
  right();
}
