// Large files of a tmpfs of the program's own, whose pages change places: with holes, an odd size, several names, open, mapped, deleted,
// executed, watched, on a read-only mount; grown, cut and punched all the time.
// fails: flip finish resume
// hops: 3
#include "program.h"
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#define AT "/tmp/large"
#define MIB (1 << 20)

static volatile uint64_t *shared;

static void put_words(int fd, uint64_t seed, off_t at, size_t bytes) {
  static uint64_t block[MIB / 8];
  for (size_t i = 0; i < bytes / 8; i++) block[i] = seed + at + 8 * i;
  CHECK(pwrite(fd, block, bytes, at) == (ssize_t)bytes);
}

static void has_words(int fd, uint64_t seed, off_t at, size_t bytes) {
  static uint64_t block[MIB / 8];
  CHECK(pread(fd, block, bytes, at) == (ssize_t)bytes);
  for (size_t i = 0; i < bytes / 8; i++) CHECK(block[i] == seed + at + 8 * i);
}

static int make(const char *path, uint64_t seed, int mebibytes) {
  int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0640);
  CHECK(fd >= 0);
  for (int i = 0; i < mebibytes; i++) put_words(fd, seed, (off_t)i * MIB, MIB);
  return fd;
}

// Grows, is cut and gets holes; it always knows what must be there.
static void work(void) {
  int fd = make(AT "/changing", 0, 2), turns = 0;
  int log = open(AT "/log", O_CREAT | O_WRONLY | O_APPEND, 0600), reader = open(AT "/log", O_RDONLY);
  CHECK(log >= 0 && reader >= 0);
  for (uint64_t turn = 1; shared[0] == 0 || turns < 3; turn++) {
    if (shared[0]) turns++;
    off_t hole = 4096 * (turn % 200 + 3), size = 2 * MIB + 4096 * (turn % 300) + turn % 4096;
    put_words(fd, turn - 1, 0, MIB);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole, 8192) == 0);
    CHECK(ftruncate(fd, size) == 0 && lseek(fd, 0, SEEK_END) == size);
    has_words(fd, turn - 1, 0, hole);
    uint64_t none[1024];
    CHECK(pread(fd, none, 8192, hole) == 8192);
    for (int i = 0; i < 1024; i++) CHECK(none[i] == 0);
    has_words(fd, turn - 1, hole + 8192, MIB - hole - 8192 > 0 ? MIB - hole - 8192 : 0);
    uint64_t line[512];
    for (int i = 0; i < 512; i++) line[i] = turn;
    CHECK(write(log, line, sizeof line) == sizeof line);
    CHECK(pread(reader, line, 8, 4096 * (turn / 2)) == 8 && line[0] == turn / 2 + 1);
    if (turn % 5 == 0) rest_ms(1);
  }
}

int main(int argc, char **argv) {
  struct stat s, s2;
  if (argc > 1) return pause();
  own_folder(AT);
  CHECK(mount("it", AT, "tmpfs", 0, "size=100m") == 0 && mkdir(AT "/folder", 0755) == 0 && mkdir(AT "/seen", 0755) == 0);
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  // Open, of an odd size, with two names, an attribute, an owner and a time.
  int open_one = make(AT "/open", 1, 3);
  CHECK(pwrite(open_one, "odd", 3, 3 * MIB) == 3 && link(AT "/open", AT "/folder/second") == 0);
  CHECK(fchown(open_one, 1000, 1001) == 0 && fchmod(open_one, 04750) == 0 && fsetxattr(open_one, "trusted.x", "y", 1, 0) == 0);
  struct timespec times[2] = {{1000, 5}, {2000, 123456789}};
  CHECK(futimens(open_one, times) == 0 && lseek(open_one, 12345, SEEK_SET) == 12345);
  // With holes, open.
  int holes = make(AT "/holes", 2, 1);
  put_words(holes, 2, 5 * MIB, 8192);
  CHECK(ftruncate(holes, 3ll << 30) == 0);
  put_words(holes, 2, 2ll << 30, 4096);
  // Closed, and not touched.
  CHECK(close(make(AT "/closed", 3, 2)) == 0);
  // Mapped shared and written; mapped to be read only; closed both.
  int fd = make(AT "/mapped", 4, 2);
  uint64_t *mapped = mmap(0, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(mapped != MAP_FAILED && close(fd) == 0);
  uint64_t *private = mmap(0, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, open_one, 0);
  CHECK(private != MAP_FAILED && private[8] == 1 + 64);
  private[0] = 77;
  // Deleted, open and mapped; deleted by one name, mapped, there by another.
  int deleted = make(AT "/deleted", 5, 2);
  CHECK(unlink(AT "/deleted") == 0);
  fd = make(AT "/one", 6, 2);
  CHECK(link(AT "/one", AT "/folder/two") == 0 && unlink(AT "/one") == 0);
  uint64_t *linked = mmap(0, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(linked != MAP_FAILED && close(fd) == 0);
  // Executed: nobody may have it open to write.
  char buf[65536];
  int to = open(AT "/program", O_CREAT | O_WRONLY, 0755);
  CHECK(to >= 0);
  copy_program(to);
  CHECK(close(to) == 0);
  pid_t program = fork();
  if (program == 0) {
    execl(AT "/program", "program", "waits", (char *)0);
    _exit(1);
  }
  // Watched, and open to write.
  int watched = make(AT "/seen/watched", 7, 1), in = inotify_init1(IN_NONBLOCK);
  CHECK(in >= 0 && inotify_add_watch(in, AT "/seen", IN_CLOSE_WRITE | IN_MODIFY | IN_DELETE) >= 0);
  // Of a read-only mount of a file system, and of a file system that is read-only.
  CHECK(mkdir(AT "/readonly", 0755) == 0 && mount(AT, AT "/readonly", 0, MS_BIND, 0) == 0);
  CHECK(mount(0, AT "/readonly", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0) == 0);
  CHECK(mkdir("/tmp/large-ro", 0755) == 0 || access("/tmp/large-ro", F_OK) == 0);
  CHECK(mount("ro", "/tmp/large-ro", "tmpfs", 0, 0) == 0);
  CHECK(close(make("/tmp/large-ro/file", 8, 1)) == 0 && mount(0, "/tmp/large-ro", 0, MS_REMOUNT | MS_RDONLY, 0) == 0);
  pid_t worker = child(work);
  rest_ms(200);
  moved();
  for (int i = 0; i < 3; i++) has_words(open_one, 1, (off_t)i * MIB, MIB);
  CHECK(pread(open_one, buf, 10, 3 * MIB) == 3 && memcmp(buf, "odd", 3) == 0 && lseek(open_one, 0, SEEK_CUR) == 12345);
  CHECK(fstat(open_one, &s) == 0 && stat(AT "/open", &s2) == 0 && s.st_ino == s2.st_ino && s.st_dev == s2.st_dev);
  CHECK(stat(AT "/folder/second", &s2) == 0 && s.st_ino == s2.st_ino && s.st_nlink == 2);
  CHECK(s.st_uid == 1000 && s.st_gid == 1001 && s.st_mode == (S_IFREG | 04750) && s.st_size == 3 * MIB + 3);
  CHECK(s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 123456789 && s.st_blocks == 8 * (3 * 256 + 1));
  CHECK(fgetxattr(open_one, "trusted.x", buf, 10) == 1 && buf[0] == 'y');
  CHECK(private[0] == 77 && private[8] == 1 + 64 && private[100000] == 1 + 800000);
  // The rest of the last page is zeros, as it was.
  CHECK(ftruncate(open_one, 3 * MIB + 4096) == 0 && pread(open_one, buf, 4096, 3 * MIB) == 4096);
  for (int i = 3; i < 4096; i++) CHECK(buf[i] == 0);
  has_words(holes, 2, 0, MIB);
  has_words(holes, 2, 5 * MIB, 8192);
  has_words(holes, 2, 2ll << 30, 4096);
  CHECK(fstat(holes, &s) == 0 && s.st_size == 3ll << 30 && s.st_blocks == 8 * (256 + 2 + 1));
  CHECK(lseek(holes, MIB, SEEK_DATA) == 5 * MIB && lseek(holes, 0, SEEK_HOLE) == MIB);
  CHECK((fd = open(AT "/closed", O_RDWR)) >= 0);
  for (int i = 0; i < 2; i++) has_words(fd, 3, (off_t)i * MIB, MIB);
  CHECK(close(fd) == 0 && (fd = open(AT "/mapped", O_RDWR)) >= 0);
  for (int i = 0; i < 2; i++) has_words(fd, 4, (off_t)i * MIB, MIB);
  mapped[5] = 55;
  uint64_t word = 66;
  CHECK(pread(fd, buf, 8, 40) == 8 && *(uint64_t *)buf == 55 && pwrite(fd, &word, 8, MIB) == 8 && mapped[MIB / 8] == 66);
  for (int i = 0; i < 2; i++) has_words(deleted, 5, (off_t)i * MIB, MIB);
  CHECK(fstat(deleted, &s) == 0 && s.st_nlink == 0);
  CHECK((fd = open(AT "/folder/two", O_RDWR)) >= 0 && linked[100000] == 6 + 800000);
  linked[1] = 11;
  CHECK(pread(fd, buf, 8, 8) == 8 && *(uint64_t *)buf == 11 && fstat(fd, &s) == 0 && s.st_nlink == 1);
  CHECK(open(AT "/program", O_WRONLY) == -1 && errno == ETXTBSY && kill(program, SIGKILL) == 0 && waitpid(program, 0, 0) == program);
  CHECK((fd = open(AT "/program", O_WRONLY)) >= 0 && close(fd) == 0);
  // Nobody has written what is watched but the program itself.
  CHECK(read(in, buf, sizeof buf) == -1);
  has_words(watched, 7, 0, MIB);
  CHECK(pwrite(watched, "x", 1, 0) == 1 && read(in, buf, sizeof buf) > 0);
  CHECK((fd = open(AT "/readonly/closed", O_WRONLY)) == -1 && (fd = open(AT "/readonly/open", O_RDONLY)) >= 0);
  has_words(fd, 1, 0, MIB);
  CHECK(close(fd) == 0 && open("/tmp/large-ro/file", O_WRONLY) == -1 && (fd = open("/tmp/large-ro/file", O_RDONLY)) >= 0);
  has_words(fd, 8, 0, MIB);
  CHECK(umount(AT "/readonly") == 0 && close(fd) == 0 && umount("/tmp/large-ro") == 0);
  rest_ms(50);
  shared[0] = 1;
  ends_well(worker);
  right();
}
