// Names of UNIX sockets: files with owner and mode, removed ones, replaced ones, in a folder that is gone, relative ones, names without
// a file with zero bytes, and one that the kernel chose.
#include "file.h"
#include "unix.h"

static int absent(const char *path) { struct stat s; return stat(path, &s) == -1 && errno == ENOENT; }

int main(void) {
  struct stat s;
  own_folder("/tmp/names");
  CHECK(chdir("/tmp/names") == 0);
  int mine = listening(SOCK_STREAM, "/tmp/names/mine", 3);
  CHECK(chmod("/tmp/names/mine", 0640) == 0 && chown("/tmp/names/mine", 1234, 567) == 0);
  int removed = listening(SOCK_STREAM, "/tmp/names/removed", 3);
  int before = client(SOCK_STREAM, "/tmp/names/removed");
  CHECK(unlink("/tmp/names/removed") == 0);
  int first = bound(SOCK_DGRAM, "/tmp/names/twice");
  CHECK(unlink("/tmp/names/twice") == 0);
  int second = bound(SOCK_DGRAM, "/tmp/names/twice");
  CHECK(mkdir("/tmp/names/folder", 0755) == 0);
  int homeless = listening(SOCK_SEQPACKET, "/tmp/names/folder/socket", 3);
  CHECK(unlink("/tmp/names/folder/socket") == 0 && rmdir("/tmp/names/folder") == 0);
  int relative = listening(SOCK_STREAM, "relative", 3);
  CHECK(mkdir("sub", 0755) == 0);
  int deeper = bound(SOCK_DGRAM, "./sub/deeper");
  int lost = bound(SOCK_DGRAM, "lost");
  CHECK(unlink("lost") == 0);
  // The socket's own mode is not that of its file.
  int own = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(fchmod(own, 0600) == 0 && fchown(own, 7, 8) == 0);
  struct sockaddr_un zeros = {.sun_family = AF_UNIX, .sun_path = "\0a\0b\0\0"}, chosen, got;
  int abstract = socket(AF_UNIX, SOCK_DGRAM, 0), automatic = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(bind(abstract, (void *)&zeros, 2 + 7) == 0);
  CHECK(bind(automatic, (void *)&zeros, 2) == 0);
  socklen_t length = sizeof chosen, size;
  CHECK(getsockname(automatic, (void *)&chosen, &length) == 0 && length == 8);
  CHECK(chdir("/") == 0);

  moved();

  CHECK(stat("/tmp/names/mine", &s) == 0 && S_ISSOCK(s.st_mode));
  CHECK((s.st_mode & 07777) == 0640 && s.st_uid == 1234 && s.st_gid == 567);
  is_called(mine, "/tmp/names/mine");
  int again = client(SOCK_STREAM, "/tmp/names/mine"), taken = accept(mine, 0, 0);
  put(again, "hello"), take(taken, "hello");
  peer_is_called(again, "/tmp/names/mine");
  CHECK(absent("/tmp/names/removed") && absent("/tmp/names/folder") && absent("/tmp/names/lost"));
  is_called(removed, "/tmp/names/removed"), is_called(homeless, "/tmp/names/folder/socket"), is_called(lost, "lost");
  peer_is_called(before, "/tmp/names/removed");
  int late = accept4(removed, 0, 0, SOCK_NONBLOCK);
  put(before, "still"), take(late, "still");
  is_called(late, "/tmp/names/removed");
  is_called(first, "/tmp/names/twice"), is_called(second, "/tmp/names/twice");
  int post = client(SOCK_DGRAM, "/tmp/names/twice");
  put(post, "for the second"), take(second, "for the second"), has_nothing(first);
  is_called(relative, "relative"), is_called(deeper, "./sub/deeper");
  CHECK(stat("/tmp/names/relative", &s) == 0 && S_ISSOCK(s.st_mode) && absent("/relative"));
  CHECK(chdir("/tmp/names") == 0);
  int near = client(SOCK_STREAM, "relative"), by = accept(relative, 0, 0);
  put(near, "near"), take(by, "near");
  post = client(SOCK_DGRAM, "sub/deeper");
  put(post, "deep"), take(deeper, "deep");
  CHECK(fstat(own, &s) == 0 && (s.st_mode & 07777) == 0600 && s.st_uid == 7 && s.st_gid == 8);
  size = sizeof got;
  CHECK(getsockname(abstract, (void *)&got, &size) == 0 && size == 9 && memcmp(&got, &zeros, 9) == 0);
  CHECK(connect(post, (void *)&zeros, 9) == 0);
  put(post, "zeros"), take(abstract, "zeros");
  size = sizeof got;
  CHECK(getsockname(automatic, (void *)&got, &size) == 0 && size == length && memcmp(&got, &chosen, length) == 0);
  right();
}
