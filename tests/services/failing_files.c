/* Preloaded (LD_PRELOAD) into a test: while the file FAILING_NUMBER holds an error number, every
 * call that touches a file under the folder FAILING_UNDER fails with it, as on a share that went
 * away. Files that are open already fail, too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *under, *number_file;

/* Once: another thread may change the environment later. */
__attribute__((constructor)) static void begin(void) {
    under = getenv("FAILING_UNDER");
    number_file = getenv("FAILING_NUMBER");
}

static int number(void) {
    if (!number_file) return 0;
    int file = syscall(SYS_openat, AT_FDCWD, number_file, O_RDONLY);
    if (file < 0) return 0;
    char text[16] = {0};
    syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    return atoi(text);
}

static int path_fails(const char *path) {
    if (!path || !under || strncmp(path, under, strlen(under))) return 0;
    int error = number();
    if (error) errno = error;
    return error;
}

static int file_fails(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return path_fails(path);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FILE(type, name, parameters, ...)                                                       \
    type name parameters {                                                                         \
        REAL(name);                                                                                \
        return file_fails(file) ? -1 : real(__VA_ARGS__);                                          \
    }
#define ON_PATH(type, name, parameters, ...)                                                       \
    type name parameters {                                                                         \
        REAL(name);                                                                                \
        return path_fails(path) ? -1 : real(__VA_ARGS__);                                          \
    }
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(name);                                                                                \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                  \
        va_end(rest);                                                                              \
        return path_fails(path) ? -1 : real(path, flags, mode);                                    \
    }

ON_FILE(ssize_t, write, (int file, const void *data, size_t size), file, data, size)
ON_FILE(ssize_t, read, (int file, void *data, size_t size), file, data, size)
ON_FILE(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), file, data, size, at)
ON_FILE(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), file, data, size,
        at)
ON_FILE(ssize_t, pread64, (int file, void *data, size_t size, off64_t at), file, data, size, at)
ON_FILE(int, fsync, (int file), file)
ON_FILE(int, fdatasync, (int file), file)
ON_FILE(int, ftruncate64, (int file, off64_t size), file, size)
ON_PATH(int, rename, (const char *path, const char *to), path, to)
ON_PATH(int, unlink, (const char *path), path)
ON_PATH(int, stat, (const char *path, struct stat *status), path, status)
ON_PATH(int, stat64, (const char *path, struct stat64 *status), path, status)
OPEN(open)
OPEN(open64)
