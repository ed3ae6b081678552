/* load hls: players of one stream over HLS, each on a connection that is kept.
 *
 * A player looks at its playlist every --poll seconds, and fetches the last segment that it names if
 * that is a new one.  Playlists are read; segments are thrown away inside the kernel (MSG_TRUNC), by
 * the length that their answer's head told.  Players join spread over --poll, as they do in life.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_BYTES = 8192, PATH_BYTES = 256, EVENTS = 64 };
enum { SWEEP_MS = 2 };

enum stage { IDLE, HEAD, PLAYLIST, SEGMENT };
struct viewer {
    int fd;
    bool gone, wants_segment;
    enum stage stage;
    uint64_t due_ns, left; /* left: bytes of an answer's body */
    char path[PATH_BYTES]; /* of its playlist */
    unsigned long long last; /* number of the last segment it has */
    uint64_t segments, gaps, bytes;
    char *text;
    size_t text_len;
};

static struct viewer *viewers;
static int poller;
static bool counting;
static long joined;
static uint64_t playlists;

static void give_up(struct viewer *v) {
    if (v->gone) return;
    v->gone = true;
    close(v->fd);
}

static void ask(struct viewer *v, const char *path) {
    char request[2 * PATH_BYTES];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%ld\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n",
                     path, opt.vhost, opt.port);
    v->stage = HEAD;
    v->text_len = 0;
    if (send(v->fd, request, (size_t)n, MSG_NOSIGNAL) != n) give_up(v);
}

/* Puts where `name` leads from the playlist's own folder into `path`. */
static void resolve(const struct viewer *v, const char *name, char *path) {
    const char *slash = strrchr(v->path, '/');
    snprintf(path, PATH_BYTES, "%.*s%.200s", (int)(slash - v->path + 1), v->path, name);
}

static void end_turn(struct viewer *v) {
    v->stage = IDLE;
    v->wants_segment = false;
}

static void on_playlist(struct viewer *v) {
    char path[PATH_BYTES], *line = NULL, *rest = v->text, *at;
    v->text[v->text_len] = 0;
    bool is_multivariant = strstr(v->text, "#EXT-X-STREAM-INF") != NULL;
    while ((at = strsep(&rest, "\r\n"))) if (*at && *at != '#') line = at;
    if (!line) return end_turn(v);
    resolve(v, line, path);
    if (is_multivariant) {
        memcpy(v->path, path, sizeof path);
        return ask(v, v->path);
    }
    if (counting) playlists++;
    char *dot = strrchr(line, '.'), *digits = dot;
    while (digits && digits > line && digits[-1] >= '0' && digits[-1] <= '9') digits--;
    unsigned long long number = digits ? strtoull(digits, NULL, 10) : 0;
    if (number == v->last) return end_turn(v);
    if (counting && v->last && number > v->last + 1) v->gaps += number - v->last - 1;
    v->last = number;
    v->wants_segment = true;
    ask(v, path);
}

/* The head of an answer is whole in `text`, maybe with some of its body. */
static void on_head(struct viewer *v, char *end) {
    size_t head = (size_t)(end + 4 - v->text), more = v->text_len - head;
    char *length = strcasestr(v->text, "\r\nContent-Length:");
    if (strncmp(v->text + 8, " 200", 4) || !length || length > end) return give_up(v);
    v->left = strtoull(length + 17, NULL, 10);
    if (v->wants_segment) {
        if (more > v->left) return give_up(v);
        v->left -= more;
        v->stage = SEGMENT;
    } else {
        if (v->left >= TEXT_BYTES) return give_up(v);
        memmove(v->text, v->text + head, more);
        v->text_len = more;
        v->stage = PLAYLIST;
    }
}

static void on_readable(struct viewer *v) {
    for (;;) {
        if (v->gone || v->stage == IDLE) return;
        bool discards = v->stage == SEGMENT;
        size_t room = discards ? v->left : TEXT_BYTES - 1 - v->text_len;
        if (v->stage == PLAYLIST && room > v->left - v->text_len) room = v->left - v->text_len;
        if (room) {
            ssize_t n = discards ? recv(v->fd, NULL, room < 1 << 20 ? room : 1 << 20, MSG_TRUNC)
                                 : recv(v->fd, v->text + v->text_len, room, 0);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
            if (n <= 0) return give_up(v);
            if (counting) v->bytes += (uint64_t)n;
            if (discards) v->left -= (uint64_t)n;
            else v->text_len += (size_t)n;
        }
        if (v->stage == HEAD) {
            v->text[v->text_len] = 0;
            char *end = strstr(v->text, "\r\n\r\n");
            if (end) on_head(v, end);
            else if (v->text_len == TEXT_BYTES - 1) return give_up(v);
        }
        if (v->stage == SEGMENT && !v->left) {
            if (counting) v->segments++;
            end_turn(v);
        } else if (v->stage == PLAYLIST && v->text_len == v->left) {
            on_playlist(v);
        }
    }
}

static void look(int wait_ms) {
    struct epoll_event events[EVENTS];
    int n;
    do {
        n = epoll_wait(poller, events, EVENTS, wait_ms);
        for (int i = 0; i < n; i++) {
            struct viewer *v = events[i].data.ptr;
            /* Nothing may come that was not asked for, but the end. */
            if (v->stage == IDLE || !(events[i].events & EPOLLIN)) give_up(v);
            else on_readable(v);
        }
        wait_ms = 0;
    } while (n == EVENTS);
}

static void start_turns(uint64_t now) {
    for (long i = 0; i < joined; i++) {
        struct viewer *v = &viewers[i];
        /* One that is still busy with its last turn is late, and looks again when it is done. */
        if (v->gone || v->stage != IDLE || v->due_ns > now) continue;
        v->due_ns += (uint64_t)(opt.poll * 1e9) * (1 + (now - v->due_ns) / (uint64_t)(opt.poll * 1e9));
        ask(v, v->path);
    }
}

static void run_until(uint64_t until) {
    static uint64_t next;
    while (!interrupted && now_ns() < until) {
        uint64_t now = now_ns();
        if (now >= next) {
            start_turns(now);
            next = now + SWEEP_MS * NS_PER_MS;
        }
        look(1);
    }
}

static void run_for(double seconds) {
    run_until(now_ns() + (uint64_t)(seconds * 1e9));
}

static void join_all(void) {
    uint64_t begun = now_ns();
    for (long i = 0; i < opt.count && !interrupted; i++) {
        struct viewer *v = &viewers[i];
        run_until(begun + (uint64_t)((double)i / opt.ramp * 1e9));
        v->text = allocate(TEXT_BYTES);
        snprintf(v->path, sizeof v->path, "%s", opt.path);
        v->fd = dial();
        if (v->fd < 0) fail("no more sockets: %s", strerror(errno));
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = v};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, v->fd, &e)) fail("epoll: %s", strerror(errno));
        v->due_ns = now_ns() + (uint64_t)(opt.poll * 1e9 * (double)i / (double)opt.count);
        joined = i + 1;
    }
}

static void print_viewers(double window_s) {
    long behind = 0, gone = 0;
    uint64_t segments = 0, gaps = 0;
    double bytes = 0;
    for (long i = 0; i < opt.count; i++) {
        const struct viewer *v = &viewers[i];
        segments += v->segments;
        gaps += v->gaps;
        bytes += (double)v->bytes;
        gone += v->gone;
        /* Whoever fetches the last one alone may step over one: that is counted, and is nobody's fault. */
        behind += v->gone || (double)v->segments + 2 < window_s / opt.poll;
    }
    printf(" \"behind\": %ld, \"gone\": %ld, \"segments\": %llu, \"playlists\": %llu, \"gaps\": %llu, \"received_bytes\": %.0f,",
           behind, gone, (unsigned long long)segments, (unsigned long long)playlists, (unsigned long long)gaps, bytes);
}

int hls(void) {
    static struct usage empty, from, to;
    if (!opt.path) fail("--path is the playlist's, and must be given");
    viewers = allocate((size_t)opt.count * sizeof *viewers);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll: %s", strerror(errno));
    read_usage(&empty);
    join_all();
    run_for(opt.warm + 2 * opt.poll);
    if (interrupted) return 130;
    double own = own_cpu_s();
    read_usage(&from);
    uint64_t begun = now_ns();
    counting = true;
    run_for(opt.duration);
    counting = false;
    if (interrupted) return 130;
    read_usage(&to);
    double window_s = (double)(now_ns() - begun) / 1e9;
    printf("{\"event\": \"watched\", \"players\": %ld, \"window_s\": %.3f, \"load_cpu_share\": %.3f,", opt.count, window_s,
           (own_cpu_s() - own) / window_s);
    print_viewers(window_s);
    print_usage(&empty, &from, &to, window_s);
    printf("}\n");
    return 0;
}
