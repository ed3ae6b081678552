/* load: RTMP publishers, HTTP-FLV or RTMP players, and API callers, cheap enough to share a core among thousands.
 *
 * This file has what all sub-commands stand on; load.h tells where the rest is.  `load --help`
 * lists the options.  Linux only: epoll, MSG_TRUNC on TCP, /proc.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------------------------ */

struct options opt = {
    .protocol = "flv", .vhost = "127.0.0.1", .app = "live", .stream = "s", .pids = "", .expect = "",
    .port = 1935, .count = 1, .sample = 20, .chunk = 4096,
    .duration = 10, .spread = 2, .ramp = 400, .settle = 20, .warm = 3, .slack = 0.4, .poll = 2,
};
volatile sig_atomic_t interrupted;

static const struct option_spec {
    const char *name;
    enum { TEXT, WHOLE, REAL } kind;
    void *value;
    const char *help;
} specs[] = {
    {"port", WHOLE, &opt.port, "the server's port on 127.0.0.1"},
    {"count", WHOLE, &opt.count, "how many publishers or players; call: connections"},
    {"vhost", TEXT, &opt.vhost, "host named in tcUrl and in the Host header"},
    {"app", TEXT, &opt.app, "application"},
    {"stream", TEXT, &opt.stream, "stream; publishers of several add 0, 1, ... to it"},
    {"duration", REAL, &opt.duration, "publish: seconds on air; play, call: seconds of the measured window"},
    {"board", TEXT, &opt.board, "file in which publish counts what play compares with"},
    {"file", TEXT, &opt.file, "publish: FLV file, H.264 and AAC; call: requests, each behind its length in 4 bytes"},
    {"chunk", WHOLE, &opt.chunk, "publish: chunk size announced and used, 128 or more"},
    {"spread", REAL, &opt.spread, "publish: seconds over which the publishers start"},
    {"protocol", TEXT, &opt.protocol, "play: flv or rtmp"},
    {"ramp", REAL, &opt.ramp, "play: joins per second"},
    {"sample", WHOLE, &opt.sample, "play: how many players parse what they get"},
    {"settle", REAL, &opt.settle, "play: seconds to wait at most for all to have started"},
    {"warm", REAL, &opt.warm, "play, call, hls: seconds of full load before the window"},
    {"slack", REAL, &opt.slack, "play: seconds of media a player may be owed at the window's edge"},
    {"pids", TEXT, &opt.pids, "play, call: the server's processes, comma-separated"},
    {"rate", REAL, &opt.rate, "call: calls a second; 0 = each connection as soon as it was answered"},
    {"expect", TEXT, &opt.expect, "call: text that must be in the body of each answer"},
    {"path", TEXT, &opt.path, "hls: the playlist's path"},
    {"poll", REAL, &opt.poll, "hls: seconds between two looks at the playlist"},
    {"until-closed", WHOLE, &opt.until_closed, "play: 1 = no window; hold on until the server closes all, or --duration"},
};
enum { SPECS = sizeof specs / sizeof *specs };

static void usage_text(FILE *to) {
    fprintf(to, "usage: load publish|play|call|hls [--option value ...]\n\n");
    for (int i = 0; i < SPECS; i++) fprintf(to, "  --%-13s %s\n", specs[i].name, specs[i].help);
}

static void set_option(const char *name, const char *value) {
    for (int i = 0; i < SPECS; i++) {
        const struct option_spec *s = &specs[i];
        if (strcmp(name, s->name)) continue;
        char *end = "";
        if (s->kind == TEXT) *(const char **)s->value = value;
        if (s->kind == WHOLE) *(long *)s->value = strtol(value, &end, 10);
        if (s->kind == REAL) *(double *)s->value = strtod(value, &end);
        if (*end || (s->kind != TEXT && !*value)) fail("--%s is %s; it must be a number", name, value);
        return;
    }
    fail("there is no option --%s; see load --help", name);
}

static void parse_options(int argc, char **argv) {
    for (int i = 2; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) || i + 1 == argc) fail("%s: options are pairs, --name value", argv[i]);
        set_option(argv[i] + 2, argv[i + 1]);
    }
    if (opt.count < 1) fail("--count is %ld; it must be 1 or more", opt.count);
    if (opt.chunk < 128) fail("--chunk is %ld; it must be 128 or more", opt.chunk);
    if (opt.ramp <= 0) fail("--ramp is %g; it must be above 0", opt.ramp);
    if (opt.sample > opt.count) opt.sample = opt.count;
}

/* ---- small things ------------------------------------------------------------------------- */

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(2);
}

void *allocate(size_t size) {
    void *p = calloc(1, size ? size : 1);
    if (!p) fail("out of memory");
    return p;
}

void put(struct bytes *b, const void *data, size_t n) {
    if (b->len + n > b->cap) {
        b->cap = 2 * (b->len + n);
        b->at = realloc(b->at, b->cap);
        if (!b->at) fail("out of memory");
    }
    memcpy(b->at + b->len, data, n);
    b->len += n;
}

void put_be(struct bytes *b, uint64_t value, int width) {
    uint8_t be[8];
    for (int i = 0; i < width; i++) be[i] = (uint8_t)(value >> 8 * (width - 1 - i));
    put(b, be, (size_t)width);
}

uint64_t get_be(const uint8_t *at, int width) {
    uint64_t value = 0;
    while (width--) value = value << 8 | *at++;
    return value;
}

struct board *open_board(bool create) {
    if (!opt.board) return allocate(sizeof(struct board));
    int fd = open(opt.board, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0644);
    if (fd < 0 || (create && ftruncate(fd, sizeof(struct board)))) fail("%s: %s", opt.board, strerror(errno));
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED) fail("%s: %s", opt.board, strerror(errno));
    close(fd);
    return board;
}

uint8_t *read_whole(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) fail("%s: cannot be opened", path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = allocate(*size);
    if (fread(data, 1, *size, f) != *size) fail("%s: cannot be read", path);
    fclose(f);
    return data;
}

/* ---- /proc -------------------------------------------------------------------------------- */

static void add_process(struct usage *u, long pid) {
    char path[64], line[1024];
    unsigned long long user, system;
    long resident;
    double hz = (double)sysconf(_SC_CLK_TCK);
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) fail("process %ld is gone", pid);
    /* The second field is the program's name in brackets, and may hold anything: count from its end. */
    char *after = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (after && sscanf(after, ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &user, &system) == 2) {
        u->user_s += (double)user / hz;
        u->system_s += (double)system / hz;
    }
    fclose(f);
    snprintf(path, sizeof path, "/proc/%ld/statm", pid);
    if ((f = fopen(path, "r"))) {
        if (fscanf(f, "%*s %ld", &resident) == 1) u->rss_kib += resident * (sysconf(_SC_PAGESIZE) / 1024);
        fclose(f);
    }
}

static void read_cores(struct usage *u) {
    char line[512];
    double hz = (double)sysconf(_SC_CLK_TCK);
    FILE *f = fopen("/proc/stat", "r");
    while (f && fgets(line, sizeof line, f)) {
        int core;
        unsigned long long user, nice, system, idle, wait, irq, softirq;
        if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu", &core, &user, &nice, &system, &idle, &wait, &irq,
                   &softirq) != 8 || core < 0 || core >= MAX_CORES) continue;
        u->busy_s[core] = (double)(user + nice + system + irq + softirq) / hz;
        if (core >= u->cores) u->cores = core + 1;
    }
    if (f) fclose(f);
}

void read_usage(struct usage *u) {
    memset(u, 0, sizeof *u);
    for (const char *at = opt.pids; *at;) {
        char *end;
        long pid = strtol(at, &end, 10);
        if (end == at) fail("--pids is %s; it must be numbers with commas", opt.pids);
        add_process(u, pid);
        at = *end == ',' ? end + 1 : end;
    }
    read_cores(u);
}

double own_cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- reports ------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(double *values, size_t n, double part) {
    if (!n) return -1;
    qsort(values, n, sizeof *values, by_value);
    return values[(size_t)(part * (double)(n - 1) + 0.5)];
}

void print_usage(const struct usage *empty, const struct usage *from, const struct usage *to, double window_s) {
    printf(" \"cpu_user_s\": %.3f, \"cpu_system_s\": %.3f, \"rss_before_kib\": %ld, \"rss_after_kib\": %ld,",
           to->user_s - from->user_s, to->system_s - from->system_s, empty->rss_kib, to->rss_kib);
    printf(" \"cores_busy\": [");
    for (int i = 0; i < to->cores; i++) printf("%s%.3f", i ? ", " : "", (to->busy_s[i] - from->busy_s[i]) / window_s);
    printf("]");
}

/* ---- sockets ------------------------------------------------------------------------------ */

int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS) return fd;
    close(fd);
    return -1;
}

bool flush(int fd, struct bytes *out, size_t *sent) {
    while (*sent < out->len) {
        ssize_t n = send(fd, out->at + *sent, out->len - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        *sent += (size_t)n;
    }
    *sent = out->len = 0;
    return true;
}

/* ---- main --------------------------------------------------------------------------------- */

static void interrupt(int number) {
    (void)number;
    interrupted = 1;
}

int main(int argc, char **argv) {
    if (argc < 2 || !strcmp(argv[1], "--help")) {
        usage_text(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    parse_options(argc, argv);
    struct sigaction act = {.sa_handler = interrupt};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlive the runner, however it ends */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_max < (rlim_t)opt.count + 64) fail("%ld sockets need a higher limit of open files", opt.count);
    }
    if (!strcmp(argv[1], "publish")) return publish();
    if (!strcmp(argv[1], "play")) return play();
    if (!strcmp(argv[1], "call")) return call();
    if (!strcmp(argv[1], "hls")) return hls();
    fail("%s: the sub-commands are publish, play, call and hls", argv[1]);
}
