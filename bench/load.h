/* What the parts of the load generator share.
 *
 *   load.c          options, the clock, byte buffers, the board, /proc
 *   load_flv.c      FLV: the file that is published, and the stream a player gets over HTTP
 *   load_rtmp.c     an RTMP client, for both directions
 *   load_publish.c  the sub-command `publish`
 *   load_play.c     the sub-command `play`
 *   load_call.c     the sub-command `call`
 *   load_hls.c      the sub-command `hls`
 *
 * The protocol parts know neither sockets nor time: they take bytes in any split and leave in a
 * buffer what is to be sent.  All is one thread; nothing here locks.
 */
#ifndef LOAD_H
#define LOAD_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* Message types of RTMP; audio, video and data are FLV's tag types too. */
enum { SET_CHUNK_SIZE = 1, ACKNOWLEDGEMENT = 3, USER_CONTROL = 4, WINDOW_SIZE = 5,
       AUDIO = 8, VIDEO = 9, DATA = 18, COMMAND = 20 };

/* ---- load.c ------------------------------------------------------------------------------- */

struct options {
    const char *file, *protocol, *vhost, *app, *stream, *board, *pids, *expect, *path;
    long port, count, sample, chunk, until_closed;
    double duration, spread, ramp, settle, warm, slack, rate, poll;
};
extern struct options opt;
extern volatile sig_atomic_t interrupted; /* SIGINT or SIGTERM came: stop, and still report */

uint64_t now_ns(void); /* CLOCK_MONOTONIC: the same in every process of this machine */
_Noreturn void fail(const char *format, ...);
void *allocate(size_t size); /* zeroed, or the process ends */

/* Bytes that grow at the end. */
struct bytes { uint8_t *at; size_t len, cap; };
void put(struct bytes *b, const void *data, size_t n);
void put_be(struct bytes *b, uint64_t value, int width); /* big-endian, `width` bytes */
uint64_t get_be(const uint8_t *at, int width);
uint8_t *read_whole(const char *path, size_t *size); /* a file, or the process ends */

/* What the publisher tells the players' process through a small shared file. */
struct board { _Atomic uint64_t bytes, frames; }; /* of stream 0: FLV tag bytes, video frames */
struct board *open_board(bool create);

/* What the server's processes (`--pids`) have used, and how busy each core was. */
enum { MAX_CORES = 256 };
struct usage { double user_s, system_s, busy_s[MAX_CORES]; long rss_kib; int cores; };
void read_usage(struct usage *u);
double own_cpu_s(void);
void print_usage(const struct usage *empty, const struct usage *from, const struct usage *to, double window_s);
double quantile(double *values, size_t n, double part); /* sorts; the value at `part` (0 to 1) of the way, -1 of none */

int dial(void); /* a non-blocking socket on its way to 127.0.0.1:--port, or -1 */
bool flush(int fd, struct bytes *out, size_t *sent); /* false: the connection is gone */

/* ---- load_flv.c --------------------------------------------------------------------------- */

/* A whole message or tag; of a long one only the beginning is kept. */
enum { HEAD_BYTES = 256 };
struct message { uint8_t type; uint32_t length; const uint8_t *head; size_t head_len; };
typedef void (*message_fn)(void *context, const struct message *m);

/* A tag of the file.  A coded picture (`frame`) has STAMP_BYTES of SEI made room for, at STAMP_AT. */
enum { STAMP_AT = 5, STAMP_BYTES = 4 + 3 + 16 + 5 + 10 + 1 };
struct tag { uint32_t time_ms, length; uint8_t type; bool frame, setup; uint8_t *payload; };
struct flv_file { struct tag *tags; size_t count; uint32_t span_ms; };
void load_flv(struct flv_file *file, const char *path);

void write_stamp(uint8_t *nal, uint32_t sequence, uint64_t ns);
bool read_stamp(const struct message *m, uint32_t *sequence, uint64_t *ns);
bool is_picture(const struct message *m, bool *key);

struct http_reader; /* an HTTP response that is an FLV stream, chunked coding or not */
struct http_reader *http_reader(message_fn on_tag, void *context);
bool http_receive(struct http_reader *r, const uint8_t *data, size_t n); /* false: not what was asked for */

/* ---- load_rtmp.c -------------------------------------------------------------------------- */

enum rtmp_phase { HANDSHAKE, CONNECTING, CREATING, STARTING, RUNNING, REFUSED };
struct rtmp_input;
struct rtmp_client {
    enum rtmp_phase phase;
    bool publishing;
    char stream[64], why[HEAD_BYTES]; /* why: a refusal in the server's own words */
    uint32_t stream_id, ack_window;
    uint64_t received, acked;
    struct bytes out; /* to be sent */
    size_t sent;      /* of `out` */
    message_fn on_media;
    void *context;
    struct rtmp_input *input;
};
void rtmp_start(struct rtmp_client *c, bool publishing, message_fn on_media, void *context);
bool rtmp_receive(struct rtmp_client *c, const uint8_t *data, size_t n); /* false: refused, or not RTMP */
void rtmp_discard(struct rtmp_client *c);           /* no more rtmp_receive, only rtmp_count */
void rtmp_count(struct rtmp_client *c, size_t n);   /* bytes read: acknowledges when they are due */
void rtmp_free(struct rtmp_client *c);

/* Appends a message; returns where in `out` its payload begins. */
size_t rtmp_write(struct bytes *out, int csid, uint32_t time_ms, uint8_t type, uint32_t stream_id,
                  const void *payload, uint32_t n, uint32_t chunk_size);

/* ---- the sub-commands --------------------------------------------------------------------- */

int publish(void);
int play(void);
int call(void);
int hls(void);

#endif
