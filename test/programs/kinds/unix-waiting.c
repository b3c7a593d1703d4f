// Connections that wait to be accepted, in order, of both types; beside accepted ones; and how many may wait.
#include "unix.h"

int main(void) {
  unlink("/tmp/waiting");
  int server = listening(SOCK_STREAM, "/tmp/waiting", 2), packets = listening(SOCK_SEQPACKET, "@waiting", 9);
  int early = client(SOCK_STREAM, "/tmp/waiting"), accepted = accept(server, 0, 0);
  int one = bound(SOCK_STREAM, "@one");
  reaches(one, "/tmp/waiting");
  int two = client(SOCK_STREAM, "/tmp/waiting");
  int three = bound(SOCK_STREAM, "@three");
  reaches(three, "/tmp/waiting");
  int packet = client(SOCK_SEQPACKET, "@waiting");
  put(early, "early"), put(accepted, "served");
  struct sockaddr_un a;
  socklen_t length = named(&a, "/tmp/waiting");
  int full = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(connect(full, (void *)&a, length) == -1 && errno == EAGAIN);
  CHECK(shutdown(two, SHUT_WR) == 0);

  moved();

  CHECK(connect(full, (void *)&a, length) == -1 && errno == EAGAIN);
  struct pollfd p = {.fd = server, .events = POLLIN};
  CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLIN));
  take(accepted, "early"), take(early, "served");
  int first = accept(server, 0, 0), second = accept(server, 0, 0), third = accept(server, 0, 0);
  peer_is_called(first, "@one"), peer_is_called(third, "@three");
  put(one, "from one"), take(first, "from one");
  put(third, "to three"), take(three, "to three");
  has_ended(second);
  put(second, "to two"), take(two, "to two");
  CHECK(send(two, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  CHECK(fcntl(server, F_SETFL, O_NONBLOCK) == 0 && accept(server, 0, 0) == -1 && errno == EAGAIN);
  struct ucred cred;
  length = sizeof cred;
  CHECK(getsockopt(first, SOL_SOCKET, SO_PEERCRED, &cred, &length) == 0 && cred.pid == getpid() && cred.uid == 0);
  int last = accept(packets, 0, 0);
  put(packet, "packet"), take(last, "packet");
  length = named(&a, "/tmp/waiting");
  CHECK(connect(full, (void *)&a, length) == 0);
  right();
}
