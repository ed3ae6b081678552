/* The sub-command `call`: HTTP requests that were made before, over connections that are kept.
 *
 * Each connection sends one request of the file and reads its answer before it sends the next.  With
 * --rate, requests are due at their moments, and an answer's time counts from there: a server that is late
 * cannot hide it by being asked less.
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

enum { ANSWER_BYTES = 65536, BATCH = 64 };

struct request { const uint8_t *at; size_t length; };
struct caller {
    int fd;
    bool connected, busy;
    uint64_t asked_ns;
    size_t received;
    uint8_t answer[ANSWER_BYTES];
    struct bytes out;
    size_t sent;
};

static struct request *requests;
static size_t request_count, next_request;
static struct caller *callers, **idle;
static size_t idle_count;
static int poller;
static bool in_window;
static uint64_t answered, failed, begun_ns, asked;
static double *latencies_ms;
static size_t latency_count, latency_cap;

/* The file: each request with its length in 4 bytes before it. */
static void load_requests(void) {
    size_t size;
    if (!opt.file) fail("call needs --file with requests");
    uint8_t *data = read_whole(opt.file, &size);
    for (size_t at = 0; at + 4 <= size;) {
        size_t length = (size_t)get_be(data + at, 4);
        if (at + 4 + length > size) fail("%s: the last request is cut short", opt.file);
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        if (!requests) fail("out of memory");
        requests[request_count++] = (struct request){data + at + 4, length};
        at += 4 + length;
    }
    if (!request_count) fail("%s: no request is in it", opt.file);
}

static void connect_caller(struct caller *c) {
    c->connected = c->busy = false;
    c->received = c->sent = c->out.len = 0;
    if ((c->fd = dial()) < 0) fail("no connection to port %ld: %s", opt.port, strerror(errno));
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) fail("epoll: %s", strerror(errno));
}

static void lost(struct caller *c) {
    if (!c->connected) fail("port %ld refuses connections", opt.port);
    if (c->busy) failed++;
    for (size_t i = 0; i < idle_count; i++)
        if (idle[i] == c) idle[i--] = idle[--idle_count];
    close(c->fd);
    connect_caller(c);
}

static bool is_due(uint64_t now, uint64_t *due) {
    *due = opt.rate > 0 ? begun_ns + (uint64_t)((double)asked / opt.rate * 1e9) : now;
    return now >= *due;
}

static void ask(struct caller *c, uint64_t due) {
    const struct request *r = &requests[next_request++ % request_count];
    asked++;
    c->busy = true;
    c->asked_ns = due;
    c->received = 0;
    put(&c->out, r->at, r->length);
    if (!flush(c->fd, &c->out, &c->sent)) lost(c);
}

static void note(uint64_t ns) {
    if (latency_count == latency_cap) {
        latency_cap = latency_cap ? 2 * latency_cap : 65536;
        latencies_ms = realloc(latencies_ms, latency_cap * sizeof *latencies_ms);
        if (!latencies_ms) fail("out of memory");
    }
    latencies_ms[latency_count++] = (double)ns / 1e6;
}

/* Whether the answer is whole; `good` when it is also the one that is wanted. */
static bool is_whole(struct caller *c, bool *good) {
    c->answer[c->received] = 0;
    const char *text = (const char *)c->answer, *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length:");
    if (!end) return false;
    if (!length || length > end) fail("an answer without a length: %.300s", text);
    size_t whole = (size_t)(end + 4 - text) + (size_t)strtoul(length + 17, NULL, 10);
    if (whole >= ANSWER_BYTES) fail("an answer of %zu bytes is too long for this program", whole);
    if (c->received < whole) return false;
    *good = c->received == whole && !strncmp(text + 8, " 200", 4) && (!*opt.expect || strstr(end, opt.expect));
    return true;
}

static void on_answer(struct caller *c, uint64_t now) {
    bool good = false;
    if (!is_whole(c, &good)) return;
    if (!good && !failed) fprintf(stderr, "load: the first wrong answer: %.600s\n", (const char *)c->answer);
    good ? answered++ : failed++;
    if (good && in_window) note(now - c->asked_ns);
    c->busy = false;
    idle[idle_count++] = c;
}

static void on_event(const struct epoll_event *e, uint64_t now) {
    struct caller *c = e->data.ptr;
    if (e->events & EPOLLOUT && !c->connected) {
        struct epoll_event reads = {.events = EPOLLIN, .data.ptr = c};
        c->connected = true;
        idle[idle_count++] = c;
        if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &reads)) fail("epoll: %s", strerror(errno));
    }
    if (!(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t n = recv(c->fd, c->answer + c->received, ANSWER_BYTES - 1 - c->received, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return lost(c);
    c->received += (size_t)n;
    if (c->busy) on_answer(c, now);
}

static void pump_for(double seconds) {
    struct epoll_event events[BATCH];
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9), now, due;
    while (!interrupted && (now = now_ns()) < until) {
        while (idle_count && is_due(now, &due)) ask(idle[--idle_count], due);
        int wait_ms = 100;
        /* The next one is due within the millisecond, or nearly: the kernel's timers are no finer. */
        if (opt.rate > 0 && idle_count) wait_ms = due > now + 2 * NS_PER_MS ? 1 : 0;
        int n = epoll_wait(poller, events, BATCH, wait_ms);
        now = now_ns();
        for (int i = 0; i < n; i++) on_event(&events[i], now);
    }
}

int call(void) {
    static struct usage empty, from, to;
    load_requests();
    read_usage(&empty);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll: %s", strerror(errno));
    callers = allocate((size_t)opt.count * sizeof *callers);
    idle = allocate((size_t)opt.count * sizeof *idle);
    begun_ns = now_ns();
    for (long i = 0; i < opt.count; i++) connect_caller(&callers[i]);
    pump_for(opt.warm);
    uint64_t before = answered;
    double own = own_cpu_s();
    read_usage(&from);
    uint64_t window_ns = now_ns();
    in_window = true;
    pump_for(opt.duration);
    in_window = false;
    if (interrupted) return 130;
    read_usage(&to);
    double window_s = (double)(now_ns() - window_ns) / 1e9;
    own = own_cpu_s() - own;
    printf("{\"event\": \"called\", \"connections\": %ld, \"calls\": %llu, \"failed\": %llu, \"window_s\": %.3f,"
           " \"load_cpu_share\": %.3f, \"latency_ms_p50\": %.3f, \"latency_ms_p99\": %.3f,",
           opt.count, (unsigned long long)(answered - before), (unsigned long long)failed, window_s, own / window_s,
           quantile(latencies_ms, latency_count, 0.5), quantile(latencies_ms, latency_count, 0.99));
    print_usage(&empty, &from, &to, window_s);
    printf("}\n");
    return 0;
}
