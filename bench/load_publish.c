/* load publish: RTMP publishers that replay an FLV file in real time, over and over.
 *
 * Prints {"event": "publishing"} once every publisher is on air, and a summary at the end, which is
 * --duration after that, a signal, or the moment the server has closed the last of them.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct publisher {
    struct rtmp_client rtmp;
    int fd;
    long number;
    bool dialled, writing, gone;
    uint64_t start_ns;    /* when its media time 0 was due */
    uint64_t started_ms;  /* media time of the file's first tag in this round */
    size_t next;          /* tag */
};

static struct publisher *publishers;
static struct flv_file file;
static struct board *board;
static int poller;
static uint32_t sequence; /* of stream 0's pictures */
static long on_air, closed;
static uint64_t first_closed_ns, last_closed_ns, sent_bytes, sent_frames, late_ns_max, lag_max;

static void close_publisher(struct publisher *p, uint64_t at_ns) {
    if (p->gone) return;
    p->gone = true;
    on_air -= p->rtmp.phase == RUNNING;
    closed++;
    if (!first_closed_ns) first_closed_ns = at_ns;
    last_closed_ns = at_ns;
    close(p->fd);
    rtmp_free(&p->rtmp);
}

static void dial_publisher(struct publisher *p) {
    p->dialled = p->writing = true; /* the first writable event says: connected */
    snprintf(p->rtmp.stream, sizeof p->rtmp.stream, opt.count > 1 ? "%s%ld" : "%s", opt.stream, p->number);
    rtmp_start(&p->rtmp, true, NULL, NULL);
    p->fd = dial();
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.ptr = p};
    if (p->fd < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &e)) fail("publisher %ld: %s", p->number, strerror(errno));
}

/* Sends what waits, and asks to be told when the socket has room for the rest. */
static void push(struct publisher *p) {
    if (!flush(p->fd, &p->rtmp.out, &p->rtmp.sent)) return; /* its end is also an event: handled there */
    bool waits = p->rtmp.out.len > 0;
    if (waits == p->writing) return;
    p->writing = waits;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (waits ? EPOLLOUT : 0), .data.ptr = p};
    epoll_ctl(poller, EPOLL_CTL_MOD, p->fd, &e);
}

static void write_tag(struct publisher *p, const struct tag *tag) {
    static const uint8_t chunk_stream_of[32] = {[AUDIO] = 4, [VIDEO] = 6, [DATA] = 5};
    struct bytes *out = &p->rtmp.out;
    size_t start = rtmp_write(out, chunk_stream_of[tag->type & 31] ? chunk_stream_of[tag->type & 31] : 5,
                              (uint32_t)(p->started_ms + tag->time_ms), tag->type, p->rtmp.stream_id,
                              tag->payload, tag->length, (uint32_t)opt.chunk);
    sent_bytes += 11 + tag->length + 4;
    sent_frames += tag->frame;
    if (p->number) return;
    if (tag->frame) write_stamp(out->at + start + STAMP_AT, sequence++, now_ns());
    board->bytes += 11 + tag->length + 4;
    board->frames += tag->frame;
}

static uint64_t due_ns(const struct publisher *p) {
    return p->start_ns + (p->started_ms + file.tags[p->next].time_ms) * NS_PER_MS;
}

static void advance(struct publisher *p) {
    if (++p->next < file.count) return;
    p->started_ms += file.span_ms;
    for (p->next = 0; file.tags[p->next].setup;) p->next++; /* said once is enough */
}

/* Writes every tag that is due; returns when the next one is. */
static uint64_t replay(struct publisher *p, uint64_t now) {
    uint64_t due;
    bool wrote = false;
    while ((due = due_ns(p)) <= now) {
        if (now - due > late_ns_max) late_ns_max = now - due;
        write_tag(p, &file.tags[p->next]);
        advance(p);
        wrote = true;
    }
    if (wrote) push(p);
    return due;
}

static void on_event(const struct epoll_event *e, uint64_t now) {
    static uint8_t data[65536];
    struct publisher *p = e->data.ptr;
    if (p->gone) return;
    bool was_running = p->rtmp.phase == RUNNING;
    if (e->events & EPOLLIN) {
        ssize_t n = recv(p->fd, data, sizeof data, 0);
        if (n > 0 && !rtmp_receive(&p->rtmp, data, (size_t)n)) fail("publisher %ld was refused: %s", p->number, p->rtmp.why);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return close_publisher(p, now);
    } else if (e->events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        return close_publisher(p, now);
    }
    push(p);
    if (was_running || p->rtmp.phase != RUNNING) return;
    p->start_ns = now;
    if (++on_air == opt.count) {
        printf("{\"event\": \"publishing\", \"publishers\": %ld}\n", on_air);
        fflush(stdout);
    }
}

/* Bytes that were due and that the server has not taken: ours, and the kernel's. */
static uint64_t lag_bytes(void) {
    uint64_t total = 0;
    for (long k = 0; k < opt.count; k++) {
        struct publisher *p = &publishers[k];
        int queued = 0;
        if (!p->dialled || p->gone) continue;
        if (ioctl(p->fd, SIOCOUTQ, &queued) == 0) total += (uint64_t)queued;
        total += p->rtmp.out.len - p->rtmp.sent;
    }
    return total;
}

static void print_summary(double seconds) {
    uint64_t lag = lag_bytes();
    printf("{\"event\": \"published\", \"publishers\": %ld, \"seconds\": %.3f, \"bytes\": %llu, \"frames\": %llu,"
           " \"lag_bytes\": %llu, \"lag_bytes_max\": %llu, \"late_ms_max\": %.2f, \"closed_by_server\": %ld,"
           " \"first_closed_ns\": %llu, \"last_closed_ns\": %llu, \"load_cpu_share\": %.3f}\n",
           opt.count, seconds, (unsigned long long)sent_bytes, (unsigned long long)sent_frames,
           (unsigned long long)lag, (unsigned long long)(lag > lag_max ? lag : lag_max), (double)late_ns_max / 1e6,
           closed, (unsigned long long)first_closed_ns, (unsigned long long)last_closed_ns,
           seconds > 0 ? own_cpu_s() / seconds : 0);
}

/* One round over all publishers; returns when there is something to do again. */
static uint64_t step(uint64_t now, uint64_t begun) {
    uint64_t next = now + 50 * NS_PER_MS;
    for (long k = 0; k < opt.count; k++) {
        struct publisher *p = &publishers[k];
        uint64_t due = begun + (uint64_t)(opt.spread * (double)k / (double)opt.count * 1e9);
        if (p->gone) continue;
        if (!p->dialled && due <= now) dial_publisher(p);
        if (p->rtmp.phase == RUNNING) due = replay(p, now);
        if (due > now && due < next) next = due;
    }
    return next;
}

int publish(void) {
    struct epoll_event events[256];
    uint64_t begun = now_ns(), end = 0, next_lag = 0;
    if (!opt.file) fail("publish needs --file");
    load_flv(&file, opt.file);
    board = open_board(true);
    publishers = allocate((size_t)opt.count * sizeof *publishers);
    for (long k = 0; k < opt.count; k++) publishers[k].number = k;
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) fail("epoll: %s", strerror(errno));
    /* One that was on air stays when all are closed, until told: its end (a large file is unmapped) would take
     * the load's core for milliseconds in which players' closes are timed. */
    while (!interrupted && (closed < opt.count || end)) {
        uint64_t now = now_ns();
        if (!end && on_air == opt.count) end = now + (uint64_t)(opt.duration * 1e9);
        if (end && now >= end) break;
        uint64_t next = step(now, begun);
        if (now >= next_lag) {
            uint64_t lag = lag_bytes();
            if (end && lag > lag_max) lag_max = lag;
            next_lag = now + 250 * NS_PER_MS;
        }
        now = now_ns();
        int wait_ms = next > now ? (int)((next - now + NS_PER_MS - 1) / NS_PER_MS) : 0;
        int n = epoll_wait(poller, events, 256, wait_ms);
        now = now_ns();
        for (int i = 0; i < n; i++) on_event(&events[i], now);
    }
    print_summary((double)(now_ns() - begun) / 1e9);
    return closed == opt.count ? 3 : 0;
}
