/*
 * Preloaded into a process: one write to one file goes wrong, and the process is told that it went well.
 *
 * Intercepts the calls of libc that write, on every descriptor of the file that HARROW_INJECT_FILE names. What goes
 * around libc is not seen: no io_uring, no libaio, no mapped memory. Reads are left alone.
 *
 *   HARROW_INJECT_FILE   path of the file; it exists when the process starts
 *   HARROW_INJECT_LOG    where to append what was written: "write <n> <offset> <length> <data|zeros>", one line each,
 *                        n from 0, and "struck <n> <what>" after the line of the write that went wrong
 *   HARROW_INJECT_WHAT   lost, torn, misdirected or flipped; none if absent
 *   HARROW_INJECT_AT     n of the write that goes wrong
 *   HARROW_INJECT_SHIFT  how many bytes too far a misdirected write lands
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static ssize_t (*real_pwritev2)(int, const struct iovec *, int, off_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);

static struct stat file;
static int has_file;
static int log_descriptor = -1;
static const char *what;
static long strike_at = -1;
static off_t shift;
static long write_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
  real_pwrite = dlsym(RTLD_NEXT, "pwrite");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev");
  real_pwritev2 = dlsym(RTLD_NEXT, "pwritev2");
  real_write = dlsym(RTLD_NEXT, "write");
  real_writev = dlsym(RTLD_NEXT, "writev");
  const char *path = getenv("HARROW_INJECT_FILE");
  const char *log = getenv("HARROW_INJECT_LOG");
  const char *at = getenv("HARROW_INJECT_AT");
  const char *far = getenv("HARROW_INJECT_SHIFT");
  what = getenv("HARROW_INJECT_WHAT");
  if (at != NULL) strike_at = atol(at);
  if (far != NULL) shift = atoll(far);
  has_file = path != NULL && stat(path, &file) == 0;
  if (log != NULL) log_descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_target(int descriptor) {
  struct stat found;
  if (!has_file) return 0;
  const int error = errno;
  const int is_it = fstat(descriptor, &found) == 0 && found.st_dev == file.st_dev && found.st_ino == file.st_ino;
  errno = error;
  return is_it;
}

static void say(const char *line, int length) {
  if (log_descriptor >= 0 && real_write(log_descriptor, line, (size_t)length) != length) abort();
}

static int is_zero(const uint8_t *bytes, size_t length) {
  return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/** All bytes, however often the kernel takes only some of them. */
static ssize_t put(int descriptor, const uint8_t *bytes, size_t length, off_t offset) {
  for (size_t done = 0; done < length;) {
    const ssize_t count = real_pwrite(descriptor, bytes + done, length - done, offset + (off_t)done);
    if (count < 0) return -1;
    done += (size_t)count;
  }
  return (ssize_t)length;
}

/** Does to the device what is to happen instead of the write, with a copy of its bytes; -1 if the kernel refuses. */
static ssize_t strike(int descriptor, uint8_t *bytes, size_t length, off_t offset, long n) {
  if (strcmp(what, "lost") == 0) return 0;
  if (strcmp(what, "torn") == 0) return put(descriptor, bytes, length / 2, offset);
  if (strcmp(what, "misdirected") == 0) return put(descriptor, bytes, length, offset + shift);
  if (strcmp(what, "flipped") == 0) {
    /* Any bit of the write, a different one for each n. */
    const uint64_t bit = (uint64_t)(n + 1) * 0x9e3779b97f4a7c15u % (length * 8);
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    return put(descriptor, bytes, length, offset);
  }
  abort();
}

static ssize_t deliver(int descriptor, const struct iovec *pieces, int piece_count, off_t offset) {
  size_t length = 0;
  for (int i = 0; i < piece_count; i++) length += pieces[i].iov_len;
  /* One byte more, as nothing at all may be asked for. */
  uint8_t *bytes = malloc(length + 1);
  if (bytes == NULL) abort();
  size_t filled = 0;
  for (int i = 0; i < piece_count; i++) {
    memcpy(bytes + filled, pieces[i].iov_base, pieces[i].iov_len);
    filled += pieces[i].iov_len;
  }
  pthread_mutex_lock(&lock);
  const long n = write_count++;
  char line[128];
  say(line, snprintf(line, sizeof line, "write %ld %lld %zu %s\n", n, (long long)offset, length,
                     is_zero(bytes, length) ? "zeros" : "data"));
  ssize_t result;
  if (what != NULL && n == strike_at) {
    say(line, snprintf(line, sizeof line, "struck %ld %s\n", n, what));
    result = strike(descriptor, bytes, length, offset, n);
  } else {
    result = put(descriptor, bytes, length, offset);
  }
  const int error = errno;
  pthread_mutex_unlock(&lock);
  free(bytes);
  errno = error;
  return result < 0 ? -1 : (ssize_t)length;
}

/** A write at the descriptor's own position, which moves on. */
static ssize_t deliver_here(int descriptor, const struct iovec *pieces, int piece_count) {
  const off_t offset = lseek(descriptor, 0, SEEK_CUR);
  const ssize_t count = deliver(descriptor, pieces, piece_count, offset);
  if (count > 0) lseek(descriptor, offset + count, SEEK_SET);
  return count;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
  if (!is_target(descriptor)) return real_pwrite(descriptor, bytes, length, offset);
  const struct iovec piece = {(void *)bytes, length};
  return deliver(descriptor, &piece, 1, offset);
}

ssize_t pwritev(int descriptor, const struct iovec *pieces, int piece_count, off_t offset) {
  if (!is_target(descriptor)) return real_pwritev(descriptor, pieces, piece_count, offset);
  return deliver(descriptor, pieces, piece_count, offset);
}

ssize_t pwritev2(int descriptor, const struct iovec *pieces, int piece_count, off_t offset, int flags) {
  if (!is_target(descriptor)) return real_pwritev2(descriptor, pieces, piece_count, offset, flags);
  return offset == -1 ? deliver_here(descriptor, pieces, piece_count)
                      : deliver(descriptor, pieces, piece_count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
  if (!is_target(descriptor)) return real_write(descriptor, bytes, length);
  const struct iovec piece = {(void *)bytes, length};
  return deliver_here(descriptor, &piece, 1);
}

ssize_t writev(int descriptor, const struct iovec *pieces, int piece_count) {
  if (!is_target(descriptor)) return real_writev(descriptor, pieces, piece_count);
  return deliver_here(descriptor, pieces, piece_count);
}

/* Where off_t has 64 bits, as it has when this is compiled with _FILE_OFFSET_BITS=64, these are the same calls. */
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));
ssize_t pwritev64v2(int, const struct iovec *, int, off_t, int) __attribute__((alias("pwritev2")));
