// A tmpfs of the program's own with all sorts of files, closed at the move; what is mounted there stays mounted.
#include "text.h"
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define AT "/mnt/mine"

int main(void) {
  struct stat s;
  char got[100];
  umask(0);
  mkdir("/mnt", 0755);
  mkdir(AT, 0751);
  CHECK(mount("mine", AT, "tmpfs", MS_NOSUID, "size=20m,mode=1770,uid=5,gid=6") == 0);
  CHECK(mkdir(AT "/folder", 0700) == 0 && mkdir(AT "/folder/deep", 0711) == 0 && chmod(AT "/folder/deep", 02711) == 0);
  put_with_mode(AT "/folder/plain", "hello", 04755);
  CHECK(chown(AT "/folder/plain", 1000, 1001) == 0 && chmod(AT "/folder/plain", 06755) == 0);
  CHECK(link(AT "/folder/plain", AT "/folder/deep/second") == 0);
  CHECK(symlink("../nowhere at all", AT "/folder/link") == 0 && lchown(AT "/folder/link", 7, 8) == 0);
  CHECK(mkfifo(AT "/fifo", 0620) == 0 && mknod(AT "/null", S_IFCHR | 0666, makedev(1, 3)) == 0);
  int sock = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = AT "/socket"};
  CHECK(bind(sock, (void *)&a, sizeof a) == 0 && close(sock) == 0);
  CHECK(setxattr(AT "/folder/plain", "trusted.thing", "value\0x", 7, 0) == 0);
  put_with_mode(AT "/empty", "", 0600);
  int fd = open(AT "/sparse", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && pwrite(fd, "end", 3, 1 << 30) == 3 && pwrite(fd, "mid", 3, 5 << 20) == 3 && ftruncate(fd, 2u << 30) == 0 && close(fd) == 0);
  fd = open(AT "/large", O_CREAT | O_RDWR, 0600);
  for (int i = 0; i < 3000; i++) { char block[1024]; memset(block, i, sizeof block); CHECK(write(fd, block, sizeof block) == sizeof block); }
  CHECK(close(fd) == 0);
  struct timespec times[2] = {{1000, 5}, {2000, 123456789}};
  CHECK(utimensat(AT_FDCWD, AT "/folder/plain", times, 0) == 0);
  CHECK(utimensat(AT_FDCWD, AT "/folder/link", times, AT_SYMLINK_NOFOLLOW) == 0);
  CHECK(utimensat(AT_FDCWD, AT "/folder", times, 0) == 0);
  int kept = open(AT "/open", O_CREAT | O_RDWR, 0600);
  CHECK(kept >= 0 && write(kept, "0123456789", 10) == 10 && lseek(kept, 4, SEEK_SET) == 4);
  moved();
  CHECK(read(kept, got, 3) == 3 && memcmp(got, "456", 3) == 0);
  CHECK(write(kept, "X", 1) == 1);
  holds(AT "/open", "0123456X89");
  struct stat s2;
  CHECK(fstat(kept, &s) == 0 && stat(AT "/open", &s2) == 0 && s.st_dev == s2.st_dev && s.st_ino == s2.st_ino);
  CHECK(stat("/mnt", &s2) == 0 && s.st_dev != s2.st_dev);
  CHECK(stat(AT, &s) == 0 && (s.st_mode & 07777) == 01770 && s.st_uid == 5 && s.st_gid == 6);
  struct statvfs v;
  CHECK(statvfs(AT, &v) == 0 && v.f_blocks * v.f_frsize == 20 << 20 && (v.f_flag & ST_NOSUID));
  CHECK(stat(AT "/folder/plain", &s) == 0 && s.st_mode == (S_IFREG | 06755) && s.st_uid == 1000 && s.st_gid == 1001);
  CHECK(s.st_nlink == 2 && s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 123456789);
  CHECK(stat(AT "/folder/deep/second", &s2) == 0 && s2.st_ino == s.st_ino);
  holds(AT "/folder/deep/second", "hello");
  CHECK(getxattr(AT "/folder/plain", "trusted.thing", got, 100) == 7 && memcmp(got, "value\0x", 7) == 0);
  CHECK(lstat(AT "/folder/link", &s) == 0 && S_ISLNK(s.st_mode) && s.st_uid == 7 && s.st_gid == 8 && s.st_mtim.tv_sec == 2000);
  CHECK(readlink(AT "/folder/link", got, 100) == 17 && memcmp(got, "../nowhere at all", 17) == 0);
  CHECK(stat(AT "/folder/deep", &s) == 0 && s.st_mode == (S_IFDIR | 02711));
  CHECK(stat(AT "/folder", &s) == 0 && s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 123456789);
  CHECK(stat(AT "/fifo", &s) == 0 && s.st_mode == (S_IFIFO | 0620));
  CHECK(stat(AT "/null", &s) == 0 && S_ISCHR(s.st_mode) && s.st_rdev == makedev(1, 3));
  CHECK(stat(AT "/socket", &s) == 0 && S_ISSOCK(s.st_mode));
  holds(AT "/empty", "");
  CHECK(stat(AT "/sparse", &s) == 0 && s.st_size == 2u << 30 && s.st_blocks * 512 < 1 << 20);
  CHECK((fd = open(AT "/sparse", O_RDONLY)) >= 0 && pread(fd, got, 3, 1 << 30) == 3 && memcmp(got, "end", 3) == 0);
  CHECK(pread(fd, got, 3, 5 << 20) == 3 && memcmp(got, "mid", 3) == 0 && close(fd) == 0);
  CHECK((fd = open(AT "/large", O_RDONLY)) >= 0);
  for (int i = 0; i < 3000; i++) { char block[1024]; CHECK(read(fd, block, sizeof block) == sizeof block && block[0] == (char)i && block[1023] == (char)i); }
  CHECK(read(fd, got, 1) == 0 && close(fd) == 0 && close(kept) == 0);
  CHECK(umount(AT) == 0 && access(AT "/empty", F_OK) == -1);
  CHECK(stat(AT, &s) == 0 && (s.st_mode & 07777) == 0751);
  CHECK(rmdir(AT) == 0);
  right();
}
