// refused: data in a UNIX connection that waits to be accepted
#include "unix.h"

int main(void) {
  int server = listening(SOCK_STREAM, "@waits", 2), early = client(SOCK_STREAM, "@waits");
  put(early, "hello");
  moved();
  int taken = accept(server, 0, 0);
  take(taken, "hello");
  right();
}
