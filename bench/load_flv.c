/* FLV: the file that is published, the stamp in its frames, and the stream a player gets over HTTP. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the stamp ---------------------------------------------------------------------------- */

/* A SEI NAL unit of user data, in front of a picture's own: UUID, sequence number, send time.  Numbers
 * go as 7 bits a byte with the top bit set, so that no byte is zero and nothing needs escaping. */
static const uint8_t STAMP_ID[16] = "Penstock.bench.1";
enum { SEI_NAL = 6, USER_DATA_UNREGISTERED = 5, UUID_AT = 7, SEQUENCE_AT = 23, TIME_AT = 28 };

static void put_sevens(uint8_t *at, uint64_t value, int width) {
    for (int i = 0; i < width; i++) at[i] = (uint8_t)(0x80 | value >> 7 * (width - 1 - i));
}

static uint64_t get_sevens(const uint8_t *at, int width) {
    uint64_t value = 0;
    while (width--) value = value << 7 | (*at++ & 0x7f);
    return value;
}

void write_stamp(uint8_t *nal, uint32_t sequence, uint64_t ns) {
    const uint8_t lead[] = {0, 0, 0, STAMP_BYTES - 4, SEI_NAL, USER_DATA_UNREGISTERED, 16 + 5 + 10};
    memcpy(nal, lead, sizeof lead);
    memcpy(nal + UUID_AT, STAMP_ID, sizeof STAMP_ID);
    put_sevens(nal + SEQUENCE_AT, sequence, 5);
    put_sevens(nal + TIME_AT, ns, 10);
    nal[STAMP_BYTES - 1] = 0x80; /* rbsp_trailing_bits */
}

bool read_stamp(const struct message *m, uint32_t *sequence, uint64_t *ns) {
    const uint8_t *nal = m->head + STAMP_AT;
    if (m->head_len < STAMP_AT + STAMP_BYTES || memcmp(nal + UUID_AT, STAMP_ID, sizeof STAMP_ID)) return false;
    *sequence = (uint32_t)get_sevens(nal + SEQUENCE_AT, 5);
    *ns = get_sevens(nal + TIME_AT, 10);
    return true;
}

/* ---- the file ----------------------------------------------------------------------------- */

/* A video tag's body: frame type and codec, then AVCPacketType (0 setup, 1 pictures), then a time offset. */
static bool is_avc(const uint8_t *body, size_t n) { return n > STAMP_AT && (body[0] & 15) == 7; }

bool is_picture(const struct message *m, bool *key) {
    if (m->type != VIDEO || !is_avc(m->head, m->head_len) || m->head[1] != 1) return false;
    *key = m->head[0] >> 4 == 1;
    return true;
}

static struct tag make_tag(uint8_t type, uint32_t time_ms, uint8_t *body, uint32_t n) {
    struct tag tag = {.type = type, .time_ms = time_ms, .length = n, .payload = body};
    bool avc = type == VIDEO && is_avc(body, n);
    tag.frame = avc && body[1] == 1;
    tag.setup = type == DATA || (avc && body[1] == 0) || (type == AUDIO && n > 1 && body[0] >> 4 == 10 && body[1] == 0);
    if (avc && body[1] == 0 && (n < 10 || (body[9] & 3) != 3)) fail("%s: NAL unit lengths are not of 4 bytes", opt.file);
    if (tag.frame) {
        tag.length = n + STAMP_BYTES;
        tag.payload = allocate(tag.length);
        memcpy(tag.payload, body, STAMP_AT);
        write_stamp(tag.payload + STAMP_AT, 0, 0);
        memcpy(tag.payload + STAMP_AT + STAMP_BYTES, body + STAMP_AT, n - STAMP_AT);
    }
    return tag;
}

enum { FILE_HEADER = 9, TAG_HEADER = 11, TAG_SIZE = 4 };

void load_flv(struct flv_file *file, const char *path) {
    size_t size;
    uint8_t *data = read_whole(path, &size), *end = data + size;
    if (size < FILE_HEADER + TAG_SIZE || memcmp(data, "FLV", 3)) fail("%s: is not FLV", path);
    for (uint8_t *at = data + FILE_HEADER + TAG_SIZE; at + TAG_HEADER <= end;) {
        uint32_t n = (uint32_t)get_be(at + 1, 3), time_ms = (uint32_t)get_be(at + 4, 3) | (uint32_t)at[7] << 24;
        if (n > (size_t)(end - at) - TAG_HEADER) break;
        if (file->count % 1024 == 0) file->tags = realloc(file->tags, (file->count + 1024) * sizeof *file->tags);
        if (!file->tags) fail("out of memory");
        file->tags[file->count++] = make_tag(at[0], time_ms, at + TAG_HEADER, n);
        if (time_ms > file->span_ms) file->span_ms = time_ms;
        at += TAG_HEADER + n + TAG_SIZE;
    }
    bool media = false;
    for (size_t i = 0; i < file->count; i++) media |= file->tags[i].frame;
    if (!media) fail("%s: has no H.264", path);
    file->span_ms += 33; /* the last picture lasts too, before the first comes again */
}

/* ---- a player's stream -------------------------------------------------------------------- */

struct http_reader {
    enum { RESPONSE_HEAD, PLAIN, CHUNK_LINE, CHUNK_DATA, CHUNK_END, ENDED } stage;
    char response[4096];
    size_t response_len;
    uint64_t chunk_left;
    bool line_has_extension;
    /* FLV inside */
    enum { SKIPPING, TAG_HEAD, TAG_BODY } flv_stage;
    size_t skip;
    uint8_t header[TAG_HEADER], head[HEAD_BYTES];
    size_t have; /* bytes of the header, then of the body */
    struct message tag;
    message_fn on_tag;
    void *context;
};

struct http_reader *http_reader(message_fn on_tag, void *context) {
    struct http_reader *r = allocate(sizeof *r);
    r->skip = FILE_HEADER + TAG_SIZE;
    r->on_tag = on_tag;
    r->context = context;
    r->tag.head = r->head;
    return r;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void tag_ended(struct http_reader *r) {
    r->tag.head_len = least(r->tag.length, HEAD_BYTES);
    r->on_tag(r->context, &r->tag);
    r->flv_stage = SKIPPING;
    r->skip = TAG_SIZE;
}

static void flv_receive(struct http_reader *r, const uint8_t *data, size_t n) {
    while (n) {
        size_t step = 0;
        if (r->flv_stage == SKIPPING) {
            r->skip -= step = least(n, r->skip);
            if (!r->skip) r->flv_stage = TAG_HEAD, r->have = 0;
        } else if (r->flv_stage == TAG_HEAD) {
            step = least(n, TAG_HEADER - r->have);
            memcpy(r->header + r->have, data, step);
            if ((r->have += step) == TAG_HEADER) {
                r->tag.type = r->header[0] & 31;
                r->tag.length = (uint32_t)get_be(r->header + 1, 3);
                r->flv_stage = TAG_BODY;
                r->have = 0;
                if (!r->tag.length) tag_ended(r);
            }
        } else {
            step = least(n, r->tag.length - r->have);
            if (r->have < HEAD_BYTES) memcpy(r->head + r->have, data, least(step, HEAD_BYTES - r->have));
            if ((r->have += step) == r->tag.length) tag_ended(r);
        }
        data += step;
        n -= step;
    }
}

/* Takes one byte of the response's head. */
static bool head_byte(struct http_reader *r, uint8_t byte) {
    if (r->response_len + 1 == sizeof r->response) return false;
    r->response[r->response_len++] = (char)byte;
    if (r->response_len < 4 || memcmp(r->response + r->response_len - 4, "\r\n\r\n", 4)) return true;
    r->stage = strcasestr(r->response, "\r\ntransfer-encoding: chunked") ? CHUNK_LINE : PLAIN;
    return strncmp(r->response, "HTTP/1.", 7) == 0 && strncmp(r->response + 8, " 200", 4) == 0;
}

/* Takes one byte of a chunk's size line: hex digits, perhaps an extension, CR LF. */
static void line_byte(struct http_reader *r, uint8_t byte) {
    int lower = byte | 32;
    int digit = byte >= '0' && byte <= '9' ? byte - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    if (byte == '\n') {
        r->stage = r->chunk_left ? CHUNK_DATA : ENDED;
        r->line_has_extension = false;
    } else if (digit < 0) {
        r->line_has_extension = true;
    } else if (!r->line_has_extension) {
        r->chunk_left = r->chunk_left * 16 + (uint64_t)digit;
    }
}

bool http_receive(struct http_reader *r, const uint8_t *data, size_t n) {
    while (n) {
        size_t step = 1;
        switch (r->stage) {
        case RESPONSE_HEAD:
            if (!head_byte(r, *data)) return false;
            break;
        case PLAIN:
            flv_receive(r, data, step = n);
            break;
        case CHUNK_LINE:
            line_byte(r, *data);
            break;
        case CHUNK_DATA:
            step = least(n, r->chunk_left);
            flv_receive(r, data, step);
            if (!(r->chunk_left -= step)) r->stage = CHUNK_END;
            break;
        case CHUNK_END:
            if (*data == '\n') r->stage = CHUNK_LINE;
            break;
        case ENDED:
            return true;
        }
        data += step;
        n -= step;
    }
    return true;
}
