// SPDX-License-Identifier: MIT
// sources: monitor/trace/event.c monitor/trace/filter.c monitor/trace/aggregate.c monitor/trace/ring.c tests/unit/host.c kernel/lib/spinlock.c
// What listens to trace points: conditions against a plain reading of them, tables of counts against a
// list of all events, rings that lose exactly what finds no room.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "trace/aggregate.h"
#include "trace/filter.h"
#include "trace/ring.h"

static struct trace_state state;
static const struct trace_point point = {
    .name = "test.point",
    .arg = {TRACE_ARG("va", ADDRESS), TRACE_WORDS("access", "- read write - execute"),
            TRACE_ARG("result", SIGNED), TRACE_ARG("queue", NAME)},
    .state = &state,
};

// ---- variables

static void variables_have_names(void **unused)
{
    (void)unused;
    assert_int_equal(trace_var_find(&point, "va"), 0);
    assert_int_equal(trace_var_find(&point, "queue"), 3);
    assert_int_equal(trace_var_find(&point, "pid"), VAR_PID);
    assert_int_equal(trace_var_find(&point, "ns"), -1);
    assert_null(trace_var_name(&point, 4)); // it has four arguments
    assert_null(trace_var_name(&point, VARS));
    struct trace_event e = {.arg = {10, 11, 12, 13, 14}, .task = 15, .pid = 16, .hart = 17};
    for (unsigned i = 0; i < VARS; i++)
        assert_int_equal(trace_var_value(&e, i), 10 + i);
}

static void words_are_found(void **unused)
{
    (void)unused;
    const char *words = point.arg[1].words;
    unsigned len;
    assert_memory_equal(trace_word(words, 2, &len), "write", 5);
    assert_int_equal(len, 5);
    assert_memory_equal(trace_word(words, 4, &len), "execute", 7);
    assert_null(trace_word(words, 0, &len)); // "-"
    assert_null(trace_word(words, 5, &len));
    assert_null(trace_word(words, UINT64_MAX, &len));
    assert_null(trace_word("", 0, &len));
    assert_int_equal(trace_word_find(words, "read"), 1);
    assert_int_equal(trace_word_find(words, "execute"), 4);
    assert_int_equal(trace_word_find(words, "exec"), -1);
    assert_int_equal(trace_word_find(words, "reads"), -1);
    assert_int_equal(trace_word_find(words, "-"), -1);
}

// ---- filters

static bool passes(struct filter_term term, uint64_t value)
{
    struct trace_filter f = {.terms = 1, .term = {term}};
    struct trace_event e = {.pid = 7};
    e.arg[term.var < TRACE_ARGS ? term.var : 0] = value;
    return filter_passes(&f, &e);
}

static bool plainly(enum filter_op op, int order)
{
    static const struct {
        bool less, equal, more;
    } want[] = {
        [FILTER_EQ] = {false, true, false}, [FILTER_NE] = {true, false, true},
        [FILTER_LT] = {true, false, false}, [FILTER_LE] = {true, true, false},
        [FILTER_GT] = {false, false, true}, [FILTER_GE] = {false, true, true},
    };
    return order < 0 ? want[op].less : order == 0 ? want[op].equal : want[op].more;
}

static void comparisons_are_exact(void **unused)
{
    (void)unused;
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      5,
                                      1ul << 31,
                                      1ul << 63,
                                      INT64_MAX,
                                      UINT64_MAX,
                                      (uint64_t)-12,
                                      (uint64_t)INT64_MIN};
    enum { N = sizeof values / sizeof *values };
    for (unsigned i = 0; i < N; i++)
        for (unsigned j = 0; j < N; j++)
            for (enum filter_op op = FILTER_EQ; op <= FILTER_GE; op++) {
                uint64_t a = values[i], b = values[j];
                struct filter_term t = {.var = 0, .op = (uint8_t)op, .value = b};
                assert_int_equal(passes(t, a), plainly(op, a < b ? -1 : a > b));
                t.is_signed = true;
                int64_t c = (int64_t)a, d = (int64_t)b;
                assert_int_equal(passes(t, a), plainly(op, c < d ? -1 : c > d));
            }
}

static void all_conditions_hold(void **unused)
{
    (void)unused;
    struct trace_event e = {.arg = {0x5000, 2, (uint64_t)-12}, .pid = 7, .hart = 3};
    struct trace_filter f = {.terms = 0};
    assert_true(filter_passes(&f, &e)); // nothing is asked
    f = (struct trace_filter){4,
                              {{.var = VAR_PID, .op = FILTER_EQ, .value = 7},
                               {.var = 0, .op = FILTER_GE, .value = 0x5000},
                               {.var = 0, .op = FILTER_LT, .value = 0x6000},
                               {.var = 2, .op = FILTER_LT, .value = 0, .is_signed = true}}};
    assert_true(filter_passes(&f, &e));
    for (unsigned i = 0; i < 4; i++) { // each alone can refuse
        struct trace_event x = e;
        if (i == 0)
            x.pid = 8;
        else if (i == 3)
            x.arg[2] = 0;
        else
            x.arg[0] = i == 1 ? 0x4fff : 0x6000;
        assert_false(filter_passes(&f, &x));
    }
}

static void names_are_compared_as_texts(void **unused)
{
    (void)unused;
    char one[] = "vda.0", other[] = "vda.1", copy[] = "vda.0";
    struct filter_term t = {.var = 3, .op = FILTER_EQ, .is_text = true, .text = "vda.0"};
    assert_true(passes(t, (uintptr_t)one));
    assert_true(passes(t, (uintptr_t)copy));
    assert_false(passes(t, (uintptr_t)other));
    assert_false(passes(t, 0)); // no name
    t.op = FILTER_NE;
    assert_true(passes(t, (uintptr_t)other));
    assert_true(passes(t, 0));
    assert_false(passes(t, (uintptr_t)one));
}

// ---- counts

static struct agg_table table(const struct agg_shape *shape)
{
    struct agg_table t;
    void *memory = calloc(1, agg_bytes(shape)); // ASan watches its bounds
    agg_init(&t, shape, memory);
    return t;
}

static void buckets_are_powers_of_two(void **unused)
{
    (void)unused;
    for (unsigned b = 1; b < AGG_BUCKETS; b++) {
        int64_t lo;
        uint64_t hi;
        agg_bucket_bounds(b, &lo, &hi);
        assert_int_equal(agg_bucket((uint64_t)lo, false), b);
        assert_int_equal(agg_bucket(hi, false), b);
        if (b + 1 < AGG_BUCKETS)
            assert_int_equal(agg_bucket(hi + 1, false), b + 1);
        else
            assert_true(hi == UINT64_MAX);
    }
    assert_int_equal(agg_bucket((uint64_t)-1, true), 0);
    assert_int_equal(agg_bucket((uint64_t)INT64_MIN, true), 0);
    assert_int_equal(agg_bucket(0, true), 1);
    assert_int_equal(agg_bucket(1, true), 2);
}

enum { EVENTS = 20000, TABLES = 4, KEYS = 24 };
static struct trace_event events[EVENTS];

static void make_events(unsigned keys)
{
    srand(7);
    for (unsigned i = 0; i < EVENTS; i++) {
        uint64_t v = (uint64_t)rand() << (rand() % 40);
        events[i] = (struct trace_event){
            .arg = {(uint64_t)(rand() % keys) * 0x1000, 0, rand() % 3 ? v : -v},
            .pid = (uint32_t)(rand() % 3)};
    }
}

// What the events of one key should come to.
static void compare_row(const struct agg_shape *s, const struct agg_row *row)
{
    uint64_t count = 0, sum = 0, bucket[AGG_BUCKETS] = {0};
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (unsigned i = 0; i < EVENTS; i++) {
        const struct trace_event *e = &events[i];
        if (e->arg[0] != row->key[0] || e->pid != row->key[1])
            continue;
        int64_t v = (int64_t)e->arg[2];
        count++;
        sum += (uint64_t)v;
        min = v < min ? v : min;
        max = v > max ? v : max;
        bucket[v < 0 ? 0 : v == 0 ? 1 : agg_bucket((uint64_t)v, false)]++;
    }
    assert_int_equal(row->count, count);
    assert_int_equal(row->sum, sum);
    assert_int_equal(row->min, min);
    assert_int_equal(row->max, max);
    if (s->quantize)
        assert_memory_equal(row->bucket, bucket, sizeof bucket);
}

// Harts count apart; together it is what a list of all events says.
static void merged_counts_are_exact(void **unused)
{
    (void)unused;
    struct agg_shape s = {2, {0, VAR_PID}, 2, true, true, 3 * KEYS};
    struct agg_table hart[TABLES], all = table(&s);
    make_events(KEYS);
    for (unsigned i = 0; i < TABLES; i++)
        hart[i] = table(&s);
    for (unsigned i = 0; i < EVENTS; i++)
        agg_add(&hart[rand() % TABLES], &events[i]);
    for (unsigned i = 0; i < TABLES; i++)
        agg_merge(&all, &hart[i]);
    unsigned rows = 0;
    uint64_t counted = 0;
    for (const struct agg_row *r = NULL; (r = agg_next(&all, r)); rows++) {
        compare_row(&s, r);
        counted += r->count;
    }
    assert_int_equal(counted, EVENTS);
    assert_int_equal(rows, 3 * KEYS);
    assert_null(agg_other(&all));
    for (unsigned i = 0; i < TABLES; i++)
        free(hart[i].memory);
    free(all.memory);
}

// More keys than rows: the first ones have theirs, the others are counted together, none is missing.
static void too_many_keys_are_counted_together(void **unused)
{
    (void)unused;
    for (uint32_t rows = 1; rows <= AGG_ROWS_MAX; rows = rows * 3 + 1) {
        struct agg_shape s = {1, {0}, 2, true, true, rows};
        struct agg_table t = table(&s), all = table(&s);
        uint64_t counted = 0, in_buckets = 0;
        unsigned n = 0;
        make_events(400);
        for (unsigned i = 0; i < EVENTS; i++)
            agg_add(&t, &events[i]);
        agg_merge(&all, &t);
        for (const struct agg_row *r = NULL; (r = agg_next(&all, r)); n++)
            counted += r->count;
        assert_int_equal(n, rows);
        const struct agg_row *other = agg_other(&all);
        assert_non_null(other);
        for (unsigned i = 0; i < AGG_BUCKETS; i++)
            in_buckets += other->bucket[i];
        assert_int_equal(in_buckets, other->count);
        assert_int_equal(counted + other->count, EVENTS);
        free(t.memory);
        free(all.memory);
    }
}

static void without_keys_there_is_one_row(void **unused)
{
    (void)unused;
    struct agg_shape s = {.value = AGG_NONE, .rows = 1};
    struct agg_table t = table(&s);
    assert_null(agg_next(&t, NULL));
    for (unsigned i = 0; i < 5; i++)
        agg_add(&t, &events[i]);
    const struct agg_row *r = agg_next(&t, NULL);
    assert_int_equal(r->count, 5);
    assert_int_equal(r->sum, 0);
    assert_null(agg_next(&t, r));
    free(t.memory);
}

// ---- rings

static void loss_is_told_at_its_place(void **unused)
{
    (void)unused;
    struct trace_event slots[4], e = {0};
    struct trace_ring r;
    uint64_t put = 0, next = 0, lost = 0, got = 0;
    trace_ring_init(&r, slots, 4);
    r.head = r.tail = UINT32_MAX - 5; // the indices go round
    srand(3);
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned n = (unsigned)rand() % 8; n--; e.at = ++put)
            if (trace_ring_room(&r))
                trace_ring_put(&r, &e);
        for (unsigned n = (unsigned)rand() % 6; n--;) {
            const struct trace_event *out = trace_ring_peek(&r);
            if (!out)
                break;
            assert_int_equal(out->at, next + out->lost); // each number once, or said to be lost
            next = out->at + 1;
            lost += out->lost;
            got++;
            trace_ring_take(&r);
        }
    }
    while (trace_ring_peek(&r)) {
        lost += trace_ring_peek(&r)->lost;
        got++;
        trace_ring_take(&r);
    }
    assert_int_equal(got + lost + trace_ring_missing(&r), put);
    assert_int_equal(r.written, got);
    assert_int_equal(r.lost, lost + trace_ring_missing(&r));
    assert_true(lost > 0);
}

static void rings_are_read_by_time(void **unused)
{
    (void)unused;
    struct trace_event slots[3][64];
    struct trace_ring rings[3];
    for (unsigned i = 0; i < 3; i++)
        trace_ring_init(&rings[i], slots[i], 64);
    assert_null(trace_rings_oldest(rings, 3));
    srand(5);
    for (uint64_t at = 1; at <= 100; at++) {
        struct trace_event e = {.at = at};
        struct trace_ring *r = &rings[rand() % 3];
        assert_true(trace_ring_room(r));
        trace_ring_put(r, &e);
    }
    for (uint64_t at = 1; at <= 100; at++) {
        struct trace_ring *r = trace_rings_oldest(rings, 3);
        assert_int_equal(trace_ring_peek(r)->at, at);
        trace_ring_take(r);
    }
    assert_null(trace_rings_oldest(rings, 3));
}

#define T(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(variables_have_names),          T(words_are_found),
        T(comparisons_are_exact),         T(all_conditions_hold),
        T(names_are_compared_as_texts),   T(buckets_are_powers_of_two),
        T(merged_counts_are_exact),       T(too_many_keys_are_counted_together),
        T(without_keys_there_is_one_row), T(loss_is_told_at_its_place),
        T(rings_are_read_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
