// SPDX-License-Identifier: MIT
// Chooses the next frame and hands out its bytes; see the header for the order.
#include "wire/tx.h"

#include <string.h>

enum { OF_NOBODY = WIRE_CHANNELS }; // the channel of events that were forgotten

enum wire_tx_source { FROM_MESSAGES, FROM_TTY, FROM_LOG, FROM_EVENTS };

void wire_tx_init(struct wire_tx *tx, const struct wire_tx_sources *from, void *ctx,
                  struct wire_ring messages, struct wire_ring events)
{
    *tx = (struct wire_tx){.from = from, .ctx = ctx, .messages = messages, .events = events};
}

static void drop_waiting(struct wire_tx *tx)
{
    tx->messages.tail = tx->messages.head;
    tx->events.tail = tx->events.head;
    tx->ack_due = tx->welcome_due = false;
    tx->dropped_events = tx->dropped_told = 0;
}

void wire_tx_begin(struct wire_tx *tx)
{
    drop_waiting(tx);
    tx->mux = true;
    tx->connections++;
    tx->seq = 0;
}

void wire_tx_end(struct wire_tx *tx)
{
    drop_waiting(tx);
    tx->mux = false;
}

void wire_tx_welcome(struct wire_tx *tx, const uint8_t nonce[WIRE_NONCE], const void *info,
                     size_t n)
{
    if (n > WIRE_PAYLOAD - WIRE_WELCOME_HEAD)
        return;
    tx->welcome[0] = WIRE_WELCOME;
    memcpy(tx->welcome + 1, nonce, WIRE_NONCE);
    tx->welcome[1 + WIRE_NONCE] = tx->connections;
    if (n)
        memcpy(tx->welcome + WIRE_WELCOME_HEAD, info, n);
    tx->welcome_len = (uint8_t)(WIRE_WELCOME_HEAD + n);
    tx->welcome_due = true;
}

void wire_tx_ack(struct wire_tx *tx, const struct wire_ack *ack)
{
    bool gap = tx->ack_due && tx->ack.gap && tx->ack.next == ack->next;

    tx->ack = *ack;
    tx->ack.gap |= gap;
    tx->ack_due = true;
}

bool wire_tx_put(struct wire_tx *tx, enum wire_channel chan, bool last, const void *data, size_t n)
{
    uint8_t tag = (uint8_t)(chan | (last ? 0x80 : 0));
    uint32_t kept = wire_which(chan) == WIRE_REPL ? tx->messages.size / 4 : 0;

    return n <= WIRE_PAYLOAD && wire_ring_room(&tx->messages, WIRE_PAYLOAD) >= kept &&
           wire_ring_put(&tx->messages, tag, data, n);
}

bool wire_tx_event(struct wire_tx *tx, enum wire_channel chan, const void *data, size_t n)
{
    bool kept =
        tx->mux && n <= WIRE_PAYLOAD && wire_ring_put(&tx->events, (uint8_t)(chan | 0x80), data, n);

    if (kept)
        tx->last_event[wire_session(chan)] = tx->events.head;
    else
        tx->dropped_events++;
    return kept;
}

bool wire_tx_event_waits(const struct wire_tx *tx, enum wire_channel chan)
{
    uint32_t behind = tx->events.head - tx->last_event[wire_session(chan)];

    return behind < tx->events.head - tx->events.tail;
}

void wire_tx_forget_events(struct wire_tx *tx, enum wire_channel chan)
{
    wire_ring_retag(&tx->events, (uint8_t)(chan | 0x80), OF_NOBODY);
}

static void emit(struct wire_tx *tx, enum wire_type type, enum wire_channel chan, uint8_t seq,
                 const uint8_t *payload, size_t n)
{
    struct wire_frame frame = {type, chan, seq, n, payload};

    tx->out_len = (uint16_t)wire_frame_encode(tx->out, &frame);
    tx->out_at = 0;
}

static bool next_control(struct wire_tx *tx)
{
    if (tx->welcome_due) {
        tx->welcome_due = false;
        emit(tx, WIRE_NOW, WIRE_CONTROL, tx->seq, tx->welcome, tx->welcome_len);
        return true;
    }
    if (tx->ack_due) {
        tx->ack_due = false;
        tx->out_len = (uint16_t)wire_ack_encode(tx->out, &tx->ack);
        tx->out_at = 0;
        return true;
    }
    return false;
}

static bool next_record(struct wire_tx *tx, struct wire_ring *ring)
{
    uint8_t payload[WIRE_PAYLOAD], tag;
    size_t n;

    do {
        if (!wire_ring_peek(ring, &tag, &n))
            return false;
        wire_ring_take(ring, payload);
    } while (tag == OF_NOBODY);
    emit(tx, tag & 0x80 ? WIRE_LAST : WIRE_DATA, tag & 15, tx->seq++, payload, n);
    return true;
}

static bool next_text(struct wire_tx *tx, enum wire_channel chan)
{
    uint8_t payload[WIRE_PAYLOAD];
    size_t n = chan == WIRE_TTY ? tx->from->tty(tx->ctx, payload, sizeof payload)
                                : tx->from->log(tx->ctx, payload, sizeof payload);

    if (n)
        emit(tx, WIRE_LAST, chan, tx->seq++, payload, n);
    return n != 0;
}

static bool next_dropped(struct wire_tx *tx)
{
    uint8_t payload[5] = {WIRE_DROPPED};

    if (tx->dropped_told == tx->dropped_events)
        return false;
    tx->dropped_told = tx->dropped_events;
    for (unsigned i = 0; i < 4; i++)
        payload[1 + i] = (uint8_t)(tx->dropped_told >> (8 * i));
    emit(tx, WIRE_NOW, WIRE_CONTROL, tx->seq, payload, sizeof payload);
    return true;
}

static bool next_from(struct wire_tx *tx, enum wire_tx_source source)
{
    switch (source) {
    case FROM_MESSAGES:
        return next_record(tx, &tx->messages);
    case FROM_TTY:
        return next_text(tx, WIRE_TTY);
    case FROM_LOG:
        return next_text(tx, WIRE_LOG);
    case FROM_EVENTS:
        return next_record(tx, &tx->events) || next_dropped(tx);
    }
    return false;
}

static bool next_frame(struct wire_tx *tx)
{
    // Asked first, by turns: whatever one of them has to say for ever, it keeps no other one out.
    static const uint8_t first[] = {FROM_MESSAGES, FROM_TTY, FROM_MESSAGES, FROM_TTY,
                                    FROM_MESSAGES, FROM_TTY, FROM_LOG,      FROM_EVENTS};

    if (next_control(tx) || next_from(tx, first[tx->turn++ % sizeof first]))
        return true;
    for (unsigned source = FROM_MESSAGES; source <= FROM_EVENTS; source++)
        if (next_from(tx, source))
            return true;
    return false;
}

// In PLAIN the terminal goes first, but no line of the log is torn by it.
static size_t plain_part(struct wire_tx *tx, uint8_t *buf, size_t max)
{
    size_t n = tx->log_open ? 0 : tx->from->tty(tx->ctx, buf, max);
    if (n > 0)
        return n;
    n = tx->from->log(tx->ctx, buf, max);
    if (n == 0)
        return tx->log_open ? tx->from->tty(tx->ctx, buf, max) : 0;
    tx->log_open = buf[n - 1] != '\n';
    return n;
}

size_t wire_tx_pull(struct wire_tx *tx, uint8_t *buf, size_t max)
{
    size_t n = 0;

    while (n < max) {
        if (tx->out_at < tx->out_len) {
            size_t part = tx->out_len - tx->out_at;
            part = part < max - n ? part : max - n;
            memcpy(buf + n, tx->out + tx->out_at, part);
            tx->out_at += (uint16_t)part;
            n += part;
        } else if (tx->mux) {
            if (!next_frame(tx))
                break;
        } else {
            size_t part = plain_part(tx, buf + n, max - n);
            if (part == 0)
                break;
            n += part;
        }
    }
    return n;
}
