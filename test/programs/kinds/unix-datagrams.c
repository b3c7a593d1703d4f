// Datagrams: from named senders, gone ones, several in one queue; sockets connected one way, to themselves, to one that is gone; empty ones.
#include "unix.h"

static void from(int fd, const char *text, const char *name) {
  struct sockaddr_un want, got;
  char data[64];
  socklen_t length = named(&want, name), size = sizeof got;
  CHECK(recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (void *)&got, &size) == (ssize_t)strlen(text));
  CHECK(memcmp(data, text, strlen(text)) == 0);
  if (name[0] == 0) CHECK(size == 0);
  else CHECK(size == length && memcmp(&got, &want, size) == 0);
}

int main(void) {
  struct sockaddr_un a;
  unlink("/tmp/post"), unlink("/tmp/sender");
  int post = bound(SOCK_DGRAM, "/tmp/post"), sender = bound(SOCK_DGRAM, "/tmp/sender"), abstract = bound(SOCK_DGRAM, "@sender");
  int gone = bound(SOCK_DGRAM, "@gone"), unnamed = socket(AF_UNIX, SOCK_DGRAM, 0);
  reaches(sender, "/tmp/post"), reaches(abstract, "/tmp/post"), reaches(gone, "/tmp/post"), reaches(unnamed, "/tmp/post");
  put(sender, "one"), put(abstract, "two"), put(gone, "three"), put(unnamed, "four"), put(sender, "five");
  CHECK(send(abstract, "", 0, 0) == 0);
  close(gone);
  // Answers come only from who it is connected to.
  int exclusive = bound(SOCK_DGRAM, "@exclusive");
  int early = bound(SOCK_DGRAM, "@early");
  reaches(early, "@exclusive"), put(early, "before");
  int friend = bound(SOCK_DGRAM, "@friend");
  reaches(exclusive, "@friend"), reaches(friend, "@exclusive");
  for (int i = 0; i < 30; i++) put(friend, "from a friend");
  int self = bound(SOCK_DGRAM, "@self");
  reaches(self, "@self"), put(self, "to myself");
  int to_gone = socket(AF_UNIX, SOCK_DGRAM, 0), was = bound(SOCK_DGRAM, "@was");
  reaches(to_gone, "@was");
  close(was);
  int half[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, half) == 0);
  put(half[1], "last"), put(half[0], "lost");
  close(half[1]);
  int shut[2], lone = bound(SOCK_DGRAM, "@lone");
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, shut) == 0);
  put(shut[0], "waits");
  CHECK(shutdown(shut[0], SHUT_WR) == 0 && shutdown(lone, SHUT_RD) == 0);

  moved();

  from(post, "one", "/tmp/sender"), from(post, "two", "@sender"), from(post, "three", "@gone"), from(post, "four", "");
  from(post, "five", "/tmp/sender"), from(post, "", "@sender"), has_nothing(post);
  put(sender, "six"), from(post, "six", "/tmp/sender");
  socklen_t length = named(&a, "/tmp/sender");
  CHECK(sendto(post, "reply", 5, 0, (void *)&a, length) == 5);
  take(sender, "reply");
  from(exclusive, "before", "@early");
  for (int i = 0; i < 30; i++) from(exclusive, "from a friend", "@friend");
  length = named(&a, "@exclusive");
  CHECK(sendto(sender, "x", 1, MSG_DONTWAIT, (void *)&a, length) == -1 && errno == EPERM);
  put(exclusive, "back"), from(friend, "back", "@exclusive");
  take(self, "to myself"), put(self, "again"), take(self, "again");
  peer_is_called(to_gone, "@was");
  CHECK(send(to_gone, "x", 1, 0) == -1 && errno == ECONNREFUSED);
  CHECK(send(to_gone, "x", 1, 0) == -1 && errno == ENOTCONN);
  take(half[0], "last"), has_nothing(half[0]);
  CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && (errno == ECONNREFUSED || errno == ECONNRESET));
  CHECK(send(shut[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  take(shut[1], "waits"), put(shut[1], "back"), take(shut[0], "back");
  length = named(&a, "@lone");
  CHECK(sendto(post, "x", 1, MSG_NOSIGNAL, (void *)&a, length) == -1 && errno == EPIPE);
  right();
}
