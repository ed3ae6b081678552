/* An RTMP client without sockets: bytes come in through rtmp_receive, what is to be sent waits in `out`.
 *
 * It goes one round trip at a time, as encoders and players do: handshake, connect, createStream, then
 * publish or play.  Source: Adobe RTMP 1.0, sections 5 and 7.
 */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDSHAKE_BYTES = 1536, DEFAULT_CHUNK = 128, CHUNK_STREAMS = 64 };
enum { CONTROL_CSID = 2, COMMAND_CSID = 3 };
static const uint32_t EXTENDED = 0xffffff; /* the 3-byte timestamp that says: 4 bytes follow */

/* What arrives: the handshake, then chunks, of which each chunk stream assembles one message at a time. */
struct chunk_stream { uint32_t length, taken; uint8_t type; bool extended; uint8_t head[HEAD_BYTES]; };
struct rtmp_input {
    uint8_t handshake[1 + 2 * HANDSHAKE_BYTES]; /* S0 S1 S2 */
    size_t handshake_len;
    enum { BASIC_HEADER, MESSAGE_HEADER, EXTENDED_TIME, PAYLOAD } stage;
    uint32_t chunk_size, chunk_left;
    uint8_t format, csid, header[11];
    size_t have;
    struct chunk_stream streams[CHUNK_STREAMS];
};

/* ---- writing ------------------------------------------------------------------------------ */

size_t rtmp_write(struct bytes *out, int csid, uint32_t time_ms, uint8_t type, uint32_t stream_id,
                  const void *payload, uint32_t n, uint32_t chunk_size) {
    bool extended = time_ms >= EXTENDED;
    put_be(out, (uint64_t)csid, 1); /* format 0: a whole header for every message */
    put_be(out, extended ? EXTENDED : time_ms, 3);
    put_be(out, n, 3);
    put_be(out, type, 1);
    put_be(out, __builtin_bswap32(stream_id), 4); /* the one little-endian field */
    if (extended) put_be(out, time_ms, 4);
    size_t start = out->len;
    for (uint32_t at = 0; at < n; at += chunk_size) {
        if (at) {
            put_be(out, 0xc0 | (uint64_t)csid, 1);
            if (extended) put_be(out, time_ms, 4); /* 5.3.1.3: repeated in every chunk */
        }
        put(out, (const uint8_t *)payload + at, n - at < chunk_size ? n - at : chunk_size);
    }
    return start;
}

static void text_bare(struct bytes *b, const char *text) {
    put_be(b, strlen(text), 2);
    put(b, text, strlen(text));
}

static void amf_text(struct bytes *b, const char *text) {
    put_be(b, 2, 1);
    text_bare(b, text);
}

static void amf_number(struct bytes *b, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_be(b, 0, 1);
    put_be(b, bits, 8);
}

static void amf_null(struct bytes *b) { put_be(b, 5, 1); }

static void amf_field(struct bytes *b, const char *name, const char *value) {
    text_bare(b, name);
    amf_text(b, value);
}

static void send_command(struct rtmp_client *c, struct bytes *body, uint32_t stream_id) {
    uint32_t chunk = c->publishing ? (uint32_t)opt.chunk : DEFAULT_CHUNK;
    rtmp_write(&c->out, COMMAND_CSID, 0, COMMAND, stream_id, body->at, (uint32_t)body->len, chunk);
    free(body->at);
}

static void send_connect(struct rtmp_client *c) {
    struct bytes body = {0};
    char url[512];
    snprintf(url, sizeof url, "rtmp://%s:%ld/%s", opt.vhost, opt.port, opt.app);
    amf_text(&body, "connect");
    amf_number(&body, 1);
    put_be(&body, 3, 1); /* object */
    amf_field(&body, "app", opt.app);
    amf_field(&body, "type", "nonprivate");
    amf_field(&body, "flashVer", "FMLE/3.0 (compatible; load)");
    amf_field(&body, "tcUrl", url);
    put_be(&body, 9, 3); /* an empty name and the end marker */
    send_command(c, &body, 0);
}

static void send_create_stream(struct rtmp_client *c) {
    struct bytes body = {0};
    amf_text(&body, "createStream");
    amf_number(&body, 2);
    amf_null(&body);
    send_command(c, &body, 0);
}

static void send_publish_or_play(struct rtmp_client *c) {
    struct bytes body = {0};
    amf_text(&body, c->publishing ? "publish" : "play");
    amf_number(&body, 3);
    amf_null(&body);
    amf_text(&body, c->stream);
    if (c->publishing) amf_text(&body, "live");
    send_command(c, &body, c->stream_id);
}

static void send_control(struct rtmp_client *c, uint8_t type, const void *payload, uint32_t n) {
    rtmp_write(&c->out, CONTROL_CSID, 0, type, 0, payload, n, DEFAULT_CHUNK);
}

static void send_number(struct rtmp_client *c, uint8_t type, uint32_t value) {
    uint32_t be = __builtin_bswap32(value);
    send_control(c, type, &be, sizeof be);
}

/* ---- what the server says ----------------------------------------------------------------- */

static bool says(const struct message *m, const char *text) {
    return memmem(m->head, m->head_len, text, strlen(text)) != NULL;
}

/* A `_result` of createStream is: string (10 bytes), number (9), null (1), number: the stream's id. */
static uint32_t created_id(const struct message *m) {
    const uint8_t *at = m->head + 20;
    uint64_t bits;
    double id = 1;
    if (m->head_len >= 29 && at[0] == 0) {
        bits = get_be(at + 1, 8);
        memcpy(&id, &bits, sizeof id);
    }
    return (uint32_t)id;
}

/* Keeps the readable part of what a refusal says. */
static void refuse(struct rtmp_client *c, const struct message *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->head_len && n + 1 < sizeof c->why; i++) {
        if (m->head[i] >= ' ' && m->head[i] < 127) c->why[n++] = (char)m->head[i];
        else if (n && c->why[n - 1] != ' ') c->why[n++] = ' ';
    }
    c->why[n] = 0;
    c->phase = REFUSED;
}

static void on_command(struct rtmp_client *c, const struct message *m) {
    bool result = m->head_len > 10 && !memcmp(m->head + 3, "_result", 7);
    if (c->phase == RUNNING) return; /* a server may say why it is about to close: the close is what counts */
    if (says(m, "_error") || (says(m, "onStatus") && says(m, "\x05" "error"))) {
        refuse(c, m);
    } else if (c->phase == CONNECTING && result) {
        send_create_stream(c);
        c->phase = CREATING;
    } else if (c->phase == CREATING && result) {
        c->stream_id = created_id(m);
        send_publish_or_play(c);
        c->phase = STARTING;
    } else if (c->phase == STARTING && says(m, c->publishing ? "NetStream.Publish.Start" : "NetStream.Play.Start")) {
        c->phase = RUNNING;
    }
}

static void on_message(struct rtmp_client *c, const struct message *m) {
    const uint8_t *p = m->head;
    if (m->type == AUDIO || m->type == VIDEO) {
        if (c->on_media) c->on_media(c->context, m);
    } else if (m->type == COMMAND) {
        on_command(c, m);
    } else if (m->type == SET_CHUNK_SIZE && m->head_len >= 4) {
        c->input->chunk_size = (uint32_t)get_be(p, 4) & 0x7fffffff;
    } else if (m->type == WINDOW_SIZE && m->head_len >= 4) {
        c->ack_window = (uint32_t)get_be(p, 4);
    } else if (m->type == USER_CONTROL && m->head_len >= 6 && get_be(p, 2) == 6) {
        uint8_t pong[6] = {0, 7, p[2], p[3], p[4], p[5]}; /* ping response, with the ping's time */
        send_control(c, USER_CONTROL, pong, sizeof pong);
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Collects a header of `want` bytes; true once it is whole. */
static bool gather(struct rtmp_input *in, const uint8_t **at, const uint8_t *end, size_t want) {
    while (in->have < want && *at < end) in->header[in->have++] = *(*at)++;
    return in->have == want;
}

static void apply_header(struct rtmp_input *in, struct chunk_stream *s) {
    if (in->format == 3) return; /* goes on with the message, or repeats the last one's header */
    s->taken = 0;
    s->extended = get_be(in->header, 3) == EXTENDED;
    if (in->format == 2) return;
    s->length = (uint32_t)get_be(in->header + 3, 3);
    s->type = in->header[6];
}

static void take_payload(struct rtmp_client *c, struct chunk_stream *s, const uint8_t **at, const uint8_t *end) {
    struct rtmp_input *in = c->input;
    uint32_t n = (size_t)(end - *at) < in->chunk_left ? (uint32_t)(end - *at) : in->chunk_left;
    if (s->taken < HEAD_BYTES) memcpy(s->head + s->taken, *at, n < HEAD_BYTES - s->taken ? n : HEAD_BYTES - s->taken);
    *at += n;
    s->taken += n;
    if ((in->chunk_left -= n)) return;
    in->stage = BASIC_HEADER;
    if (s->taken < s->length) return;
    struct message m = {s->type, s->length, s->head, s->length < HEAD_BYTES ? s->length : HEAD_BYTES};
    s->taken = 0;
    on_message(c, &m);
}

static bool receive_chunks(struct rtmp_client *c, const uint8_t *at, const uint8_t *end) {
    static const uint8_t header_bytes[4] = {11, 7, 3, 0};
    struct rtmp_input *in = c->input;
    while (at < end && c->phase != REFUSED) {
        if (in->stage == BASIC_HEADER) {
            in->format = *at >> 6;
            in->csid = *at++ & 63;
            if (in->csid < 2) return false; /* the 2- and 3-byte forms: no server under test uses them */
            in->have = 0;
            in->stage = MESSAGE_HEADER;
        }
        struct chunk_stream *s = &in->streams[in->csid];
        if (in->stage == MESSAGE_HEADER) {
            if (!gather(in, &at, end, header_bytes[in->format])) break;
            apply_header(in, s);
            in->have = 0;
            in->stage = EXTENDED_TIME;
        }
        if (in->stage == EXTENDED_TIME) {
            if (!gather(in, &at, end, s->extended ? 4 : 0)) break;
            in->chunk_left = s->length - s->taken < in->chunk_size ? s->length - s->taken : in->chunk_size;
            in->stage = PAYLOAD;
        }
        take_payload(c, s, &at, end);
    }
    return c->phase != REFUSED;
}

/* After S0 and S1 come our C2, which is S1 again, and connect; S2 is awaited but not looked at. */
static size_t receive_handshake(struct rtmp_client *c, const uint8_t *data, size_t n) {
    struct rtmp_input *in = c->input;
    size_t before = in->handshake_len, room = sizeof in->handshake - before, step = n < room ? n : room;
    memcpy(in->handshake + before, data, step);
    in->handshake_len += step;
    if (in->handshake_len < sizeof in->handshake) return step;
    put(&c->out, in->handshake + 1, HANDSHAKE_BYTES);
    if (c->publishing) send_number(c, SET_CHUNK_SIZE, (uint32_t)opt.chunk);
    send_connect(c);
    c->phase = CONNECTING;
    return step;
}

void rtmp_start(struct rtmp_client *c, bool publishing, message_fn on_media, void *context) {
    static const uint8_t c0_c1[1 + HANDSHAKE_BYTES] = {3}; /* version 3; time and the rest may be zero */
    c->publishing = publishing;
    c->on_media = on_media;
    c->context = context;
    c->input = allocate(sizeof *c->input);
    c->input->chunk_size = DEFAULT_CHUNK;
    put(&c->out, c0_c1, sizeof c0_c1);
}

void rtmp_count(struct rtmp_client *c, size_t n) {
    c->received += n;
    if (!c->ack_window || c->received - c->acked < c->ack_window) return;
    c->acked = c->received;
    send_number(c, ACKNOWLEDGEMENT, (uint32_t)c->received);
}

bool rtmp_receive(struct rtmp_client *c, const uint8_t *data, size_t n) {
    size_t used = c->phase == HANDSHAKE ? receive_handshake(c, data, n) : 0;
    if (c->phase == HANDSHAKE) return true;
    rtmp_count(c, n);
    return receive_chunks(c, data + used, data + n);
}

void rtmp_discard(struct rtmp_client *c) {
    free(c->input);
    c->input = NULL;
}

void rtmp_free(struct rtmp_client *c) {
    rtmp_discard(c);
    free(c->out.at);
    c->out = (struct bytes){0};
}
