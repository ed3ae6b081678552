/* load play: players of one stream over HTTP-FLV or RTMP.
 *
 * Nearly all of them discard what they get inside the kernel (MSG_TRUNC), which costs a tenth of
 * reading it; --sample of them, spread over the order of joining, parse every frame.  The first are
 * swept every few milliseconds, the second are waited for, so that their clock is right.
 *
 * The run: join at --ramp a second, settle until all have started, --warm, then a window of --duration
 * in which everything is counted.  The server's CPU and RSS are read here, at the window's two ends.
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

static const uint64_t SWEEP_NS = 3 * NS_PER_MS;
enum { BATCH = 64 };               /* events of discarding players between two looks at the sampled ones */
enum { DISCARD_BYTES = 1 << 20 };  /* most that one recv throws away */

struct player {
    int fd;
    bool sampled, dialled, connected, discarding, gone;
    uint64_t bytes, bytes_at_start;   /* received; and of these before the window */
    uint64_t connect_ns, key_ns;      /* connect() called; first key frame whole */
    uint32_t sequence;                /* of the last frame */
    uint64_t frames, gaps, gaps_at_start, repeats;
    struct rtmp_client *rtmp; /* protocol rtmp */
    struct http_reader *http; /* protocol flv, sampled */
};

struct latency { float at_s, ms; }; /* when in the window, and how much */

static struct player *players;
static struct board *board;
static int sampled_poller, bulk_poller;
static long joined, closed;
static bool in_window, is_rtmp;
static uint64_t window_ns, first_closed_ns, last_closed_ns;
static struct latency *latencies;
static size_t latency_count;

/* ---- one player --------------------------------------------------------------------------- */

static void on_media(void *context, const struct message *m) {
    struct player *p = context;
    uint32_t sequence;
    uint64_t sent_ns, now = now_ns();
    bool key;
    if (!is_picture(m, &key)) return;
    if (key && !p->key_ns) p->key_ns = now;
    if (!read_stamp(m, &sequence, &sent_ns)) return;
    if (p->frames++) {
        if (sequence <= p->sequence) p->repeats++;
        else p->gaps += sequence - p->sequence - 1;
    }
    p->sequence = sequence;
    if (!in_window) return;
    if (latency_count % 65536 == 0) latencies = realloc(latencies, (latency_count + 65536) * sizeof *latencies);
    if (!latencies) fail("out of memory");
    latencies[latency_count++] = (struct latency){(float)((double)(now - window_ns) / 1e9),
                                                  (float)((double)(now - sent_ns) / 1e6)};
}

static void close_player(struct player *p, uint64_t at_ns) {
    if (p->gone) return;
    p->gone = true;
    closed++;
    if (!first_closed_ns) first_closed_ns = at_ns;
    last_closed_ns = at_ns;
    if (p->fd >= 0) close(p->fd);
}

static void want_events(struct player *p, int operation, bool writable) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (writable ? EPOLLOUT : 0), .data.ptr = p};
    /* Held until closed, every player's end is to be timed: then nobody is left to the sweep. */
    int poller = p->sampled || opt.until_closed ? sampled_poller : bulk_poller;
    if (epoll_ctl(poller, operation, p->fd, &e)) fail("epoll: %s", strerror(errno));
}

static void dial_player(struct player *p) {
    long i = p - players;
    p->sampled = (i + 1) * opt.sample / opt.count > i * opt.sample / opt.count;
    p->dialled = true;
    if (is_rtmp) {
        p->rtmp = allocate(sizeof *p->rtmp);
        snprintf(p->rtmp->stream, sizeof p->rtmp->stream, "%s", opt.stream);
        rtmp_start(p->rtmp, false, p->sampled ? on_media : NULL, p);
    } else if (p->sampled) {
        p->http = http_reader(on_media, p);
    }
    p->connect_ns = now_ns();
    p->fd = dial();
    if (p->fd < 0) return close_player(p, p->connect_ns);
    want_events(p, EPOLL_CTL_ADD, true);
}

static bool send_request(const struct player *p) {
    char request[512];
    int n = snprintf(request, sizeof request,
                     "GET /%s/%s.flv HTTP/1.1\r\nHost: %s:%ld\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n",
                     opt.app, opt.stream, opt.vhost, opt.port);
    return send(p->fd, request, (size_t)n, MSG_NOSIGNAL) == n;
}

/* The first writable event: connected (or refused, which the next read tells). */
static bool on_connected(struct player *p) {
    p->connected = true;
    want_events(p, EPOLL_CTL_MOD, false);
    return is_rtmp ? flush(p->fd, &p->rtmp->out, &p->rtmp->sent) : send_request(p);
}

/* False: the server did not give what was asked for. */
static bool take(struct player *p, const uint8_t *data, size_t n) {
    bool good = true;
    if (is_rtmp && p->discarding) rtmp_count(p->rtmp, n);
    else if (is_rtmp) good = rtmp_receive(p->rtmp, data, n);
    else if (p->sampled) good = http_receive(p->http, data, n);
    else if (!p->discarding) good = n > 12 && !memcmp(data + 8, " 200", 4);
    if (!is_rtmp && !p->sampled) p->discarding = true;
    if (is_rtmp && !p->sampled && !p->discarding && p->rtmp->phase == RUNNING) {
        p->discarding = true;
        rtmp_discard(p->rtmp);
    }
    return good && (!is_rtmp || flush(p->fd, &p->rtmp->out, &p->rtmp->sent));
}

static void on_event(const struct epoll_event *e, uint64_t now) {
    static uint8_t data[262144];
    struct player *p = e->data.ptr;
    if (p->gone) return;
    if (!p->connected && e->events & EPOLLOUT && !on_connected(p)) return close_player(p, now);
    if (!(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))) return;
    ssize_t n = p->discarding ? recv(p->fd, NULL, DISCARD_BYTES, MSG_TRUNC) : recv(p->fd, data, sizeof data, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return close_player(p, now);
    p->bytes += (uint64_t)n;
    if (!take(p, data, (size_t)n)) close_player(p, now);
}

/* ---- all players -------------------------------------------------------------------------- */

static int look(int poller, int wait_ms) {
    struct epoll_event events[BATCH];
    int n = epoll_wait(poller, events, BATCH, wait_ms);
    uint64_t now = now_ns();
    for (int i = 0; i < n; i++) on_event(&events[i], now);
    return n;
}

/* Reads for all, until `until` or something happened; the sampled players go first. */
static void pump(uint64_t until) {
    static uint64_t next_sweep;
    uint64_t now = now_ns();
    if (now >= next_sweep) {
        /* At most once round all: a load that is short of CPU must still see the clock. */
        for (long seen = 0; seen <= joined && look(bulk_poller, 0) == BATCH; seen += BATCH) look(sampled_poller, 0);
        next_sweep = now_ns() + SWEEP_NS;
    }
    if (next_sweep < until) until = next_sweep;
    now = now_ns();
    look(sampled_poller, until > now ? (int)((until - now + NS_PER_MS - 1) / NS_PER_MS) : 0);
}

static void pump_for(double seconds) {
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);
    while (!interrupted && now_ns() < until) pump(until);
}

static void join_all(void) {
    uint64_t begun = now_ns();
    while (!interrupted && joined < opt.count) {
        uint64_t due = begun + (uint64_t)((double)joined / opt.ramp * 1e9);
        if (now_ns() >= due) dial_player(&players[joined++]);
        else pump(due);
    }
}

static long not_started(void) {
    long waiting = 0;
    for (long i = 0; i < joined; i++) {
        const struct player *p = &players[i];
        waiting += !p->gone && (p->sampled ? !p->key_ns : p->bytes < 8192);
    }
    return waiting;
}

static void settle(void) {
    uint64_t until = now_ns() + (uint64_t)(opt.settle * 1e9);
    while (!interrupted && now_ns() < until && not_started()) pump(now_ns() + 20 * NS_PER_MS);
}

/* ---- the report --------------------------------------------------------------------------- */

static void print_latencies(void) {
    double *all = allocate(latency_count * sizeof *all);
    double *first = allocate(latency_count * sizeof *first), *last = allocate(latency_count * sizeof *last);
    size_t firsts = 0, lasts = 0;
    for (size_t i = 0; i < latency_count; i++) {
        all[i] = (double)latencies[i].ms;
        if (latencies[i].at_s < opt.duration / 4) first[firsts++] = all[i];
        if (latencies[i].at_s > opt.duration * 3 / 4) last[lasts++] = all[i];
    }
    /* Drift: a server that slowly falls behind shows it here before anything is lost. */
    printf(" \"latency_ms_p50\": %.3f, \"latency_ms_p99\": %.3f, \"latency_ms_max\": %.3f, \"latency_drift_ms\": %.3f,"
           " \"latency_frames\": %zu,", quantile(all, latency_count, 0.5), quantile(all, latency_count, 0.99),
           quantile(all, latency_count, 1), quantile(last, lasts, 0.5) - quantile(first, firsts, 0.5), latency_count);
}

static void print_sampled(void) {
    double *key_ms = allocate((size_t)opt.count * sizeof *key_ms);
    uint64_t gaps = 0, gaps_in_window = 0, repeats = 0;
    size_t keys = 0;
    for (long i = 0; i < opt.count; i++) {
        const struct player *p = &players[i];
        gaps += p->gaps;
        gaps_in_window += p->gaps - p->gaps_at_start;
        repeats += p->repeats;
        /* Of the second half to join only: so that at least half of the others were there. */
        if (p->key_ns && i >= opt.count / 2) key_ms[keys++] = (double)(p->key_ns - p->connect_ns) / 1e6;
    }
    printf(" \"key_ms_median\": %.3f, \"key_ms_max\": %.3f, \"gaps\": %llu, \"gaps_in_window\": %llu,"
           " \"repeats\": %llu,", quantile(key_ms, keys, 0.5), quantile(key_ms, keys, 1), (unsigned long long)gaps,
           (unsigned long long)gaps_in_window, (unsigned long long)repeats);
}

static void print_shares(double published, double window_s) {
    double *share = allocate((size_t)opt.count * sizeof *share), received = 0;
    double owed = published / window_s * opt.slack;
    long behind = 0, refused = 0;
    for (long i = 0; i < opt.count; i++) {
        const struct player *p = &players[i];
        double got = (double)(p->bytes - p->bytes_at_start);
        share[i] = published > 0 ? got / published : 0;
        received += got;
        behind += p->gone || got + owed < 0.98 * published;
        refused += p->gone && p->bytes < 8192;
    }
    printf(" \"behind\": %ld, \"refused\": %ld, \"received_bytes\": %.0f, \"share_min\": %.4f, \"share_median\": %.4f,",
           behind, refused, received, quantile(share, (size_t)opt.count, 0), quantile(share, (size_t)opt.count, 0.5));
}

/* ---- the two kinds of run ----------------------------------------------------------------- */

static int measure(void) {
    static struct usage empty, from, to;
    read_usage(&empty);
    join_all();
    settle();
    long never = not_started();
    pump_for(opt.warm);
    if (interrupted) return 130;
    uint64_t bytes = board->bytes, frames = board->frames;
    double own = own_cpu_s();
    read_usage(&from);
    for (long i = 0; i < opt.count; i++) {
        players[i].bytes_at_start = players[i].bytes;
        players[i].gaps_at_start = players[i].gaps;
    }
    window_ns = now_ns();
    in_window = true;
    pump_for(opt.duration);
    in_window = false;
    if (interrupted) return 130;
    read_usage(&to);
    double window_s = (double)(now_ns() - window_ns) / 1e9, published = (double)(board->bytes - bytes);
    own = own_cpu_s() - own;
    printf("{\"event\": \"played\", \"protocol\": \"%s\", \"players\": %ld, \"never_started\": %ld, \"closed\": %ld,"
           " \"window_s\": %.3f, \"published_bytes\": %.0f, \"published_frames\": %llu, \"load_cpu_share\": %.3f,",
           opt.protocol, opt.count, never, closed, window_s, published,
           (unsigned long long)(board->frames - frames), own / window_s);
    print_shares(published, window_s);
    print_sampled();
    print_latencies();
    print_usage(&empty, &from, &to, window_s);
    printf("}\n");
    return 0;
}

static int hold(void) {
    join_all();
    settle();
    printf("{\"event\": \"attached\", \"players\": %ld, \"never_started\": %ld}\n", joined - closed, not_started());
    fflush(stdout);
    uint64_t until = now_ns() + (uint64_t)(opt.duration * 1e9);
    while (!interrupted && closed < opt.count && now_ns() < until) pump(until);
    printf("{\"event\": \"closed\", \"players\": %ld, \"closed\": %ld, \"first_closed_ns\": %llu, \"last_closed_ns\": %llu}\n",
           opt.count, closed, (unsigned long long)first_closed_ns, (unsigned long long)last_closed_ns);
    return 0;
}

int play(void) {
    is_rtmp = !strcmp(opt.protocol, "rtmp");
    if (!is_rtmp && strcmp(opt.protocol, "flv")) fail("--protocol is %s; it must be flv or rtmp", opt.protocol);
    board = open_board(false);
    players = allocate((size_t)opt.count * sizeof *players);
    sampled_poller = epoll_create1(EPOLL_CLOEXEC);
    bulk_poller = epoll_create1(EPOLL_CLOEXEC);
    if (sampled_poller < 0 || bulk_poller < 0) fail("epoll: %s", strerror(errno));
    return opt.until_closed ? hold() : measure();
}
