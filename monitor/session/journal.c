// SPDX-License-Identifier: MIT
// The journal is a ring in the order of the changes; what has fallen out of it cannot be undone.
#include "session/journal.h"

#include "async/timer.h"
#include "class/class.h"
#include "session/number.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static struct journal_row rows[JOURNAL_ROWS];
static uint32_t made; // rows ever written; row n is rows[(n - 1) % JOURNAL_ROWS]
static struct {
    enum monitor_mode mode;
    bool dry;                 // inside k.dry: validate, note, do nothing
    enum monitor_mode before; // k.dry, whose function may set the mode for what it tries
    uint32_t client;          // counts those it has had
    uint64_t repeats;
} sessions[WIRE_SESSIONS];

static const char *const mode_names[] = {"ro", "rw", "unsafe"};

enum monitor_mode monitor_mode(void)
{
    return sessions[session_number()].mode;
}

const char *monitor_mode_name(void)
{
    return mode_names[monitor_mode()];
}

bool monitor_mode_set(const char *name)
{
    for (int m = MODE_RO; m <= MODE_UNSAFE; m++)
        if (strcmp(name, mode_names[m]) == 0) {
            sessions[session_number()].mode = m;
            return true;
        }
    return false;
}

void monitor_need(lua_State *L, enum monitor_mode mode, const char *what)
{
    if (monitor_mode() < mode)
        luaL_error(L, "%s needs mode %s; the mode is %s (k.mode = \"%s\")", what, mode_names[mode],
                   monitor_mode_name(), mode_names[mode]);
}

static struct journal_row *row(uint32_t n)
{
    return n && n <= made && n + JOURNAL_ROWS > made ? &rows[(n - 1) % JOURNAL_ROWS] : NULL;
}

static bool in_force(const struct journal_row *r)
{
    return r->change.undo && !r->undone_by;
}

static const char dry_notes; // registry key: the list that k.dry returns

static void note(lua_State *L, const char *text)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &dry_notes);
    lua_pushstring(L, text);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    lua_pop(L, 1);
}

bool change_is_dry(lua_State *L, const char *text)
{
    if (!sessions[session_number()].dry)
        return false;
    note(L, text);
    return true;
}

static void refuse(lua_State *L, const struct change *c, long error)
{
    if (c->why[0])
        luaL_error(L, "%s: %s", c->kind->name, c->why);
    luaL_error(L, "%s: error %d", c->kind->name, (int)error);
}

uint64_t journal_repeats(uint64_t who)
{
    uint64_t *now = &sessions[session_number()].repeats, was = *now;
    *now = who;
    return was;
}

// The row whose place another of the kind takes; NULL: it gets its own.
static struct journal_row *repeated(const struct change *c)
{
    uint64_t who = sessions[session_number()].repeats;
    for (uint32_t i = made; who && row(i); i--)
        if (row(i)->repeats == who && row(i)->change.kind == c->kind && !row(i)->undone_by &&
            !row(i)->being_undone)
            return row(i);
    return NULL;
}

static uint32_t write_down(const struct change *c)
{
    struct journal_row *again = repeated(c), *r = again ? again : &rows[made % JOURNAL_ROWS];
    *r = (struct journal_row){.n = again ? again->n : ++made,
                              .session = session_number() + 1,
                              .client = sessions[session_number()].client,
                              .repeats = sessions[session_number()].repeats,
                              .times = again ? again->times + 1 : 1,
                              .ns = clock_monotonic_ns(),
                              .change = *c};
    return r->n;
}

static void need_mode_of(lua_State *L, const struct change *c)
{
    if (!sessions[session_number()].dry)
        monitor_need(L, (enum monitor_mode)c->kind->mode, c->kind->name);
}

// *row: its number, 0 when nothing was done. Raises nothing.
static long make(struct change *c, uint32_t *row)
{
    long e = c->kind->validate(c);
    if (e || sessions[session_number()].dry)
        return e;
    e = c->kind->apply(c);
    if (!e)
        *row = write_down(c);
    return e;
}

static void finish(lua_State *L, const struct change *c, long error)
{
    if (error)
        refuse(L, c, error);
    change_is_dry(L, c->text);
}

void change_make(lua_State *L, struct change *c)
{
    uint32_t row;
    need_mode_of(L, c);
    finish(L, c, make(c, &row));
}

static void end_dry_run(void)
{
    if (sessions[session_number()].dry)
        sessions[session_number()].mode = sessions[session_number()].before;
    sessions[session_number()].dry = false;
}

void journal_forget_script(void)
{
    end_dry_run();
    sessions[session_number()].repeats = 0;
}

void journal_forget_session(void)
{
    journal_forget_script();
    sessions[session_number()].mode = MODE_RO;
    sessions[session_number()].client++;
}

struct journal_row *journal_newest(uint32_t back)
{
    return back < made ? row(made - back) : NULL;
}

// ---- k.journal, k.undo, k.dry, k.mode

static void set_field(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static int k_journal(lua_State *L)
{
    lua_newtable(L);
    int n = 0;
    for (uint32_t i = 1; i <= made; i++) {
        if (!row(i))
            continue;
        struct journal_row copy = *row(i), *r = &copy; // another session may write meanwhile
        lua_createtable(L, 0, 7);
        lua_pushinteger(L, r->n);
        lua_setfield(L, -2, "n");
        lua_pushinteger(L, r->session);
        lua_setfield(L, -2, "session");
        lua_pushinteger(L, (lua_Integer)r->ns);
        lua_setfield(L, -2, "ns");
        set_field(L, "kind", r->change.kind->name);
        set_field(L, "what", r->change.text);
        lua_pushboolean(L, in_force(r));
        lua_setfield(L, -2, "undoable");
        if (r->times > 1) {
            lua_pushinteger(L, r->times);
            lua_setfield(L, -2, "times");
        }
        if (r->undone_by) {
            lua_pushinteger(L, r->undone_by);
            lua_setfield(L, -2, "undone_by");
        }
        lua_rawseti(L, -2, ++n);
    }
    class_set_row_names(L, "times undone_by");
    return 1;
}
MONITOR_API(
    journal, "journal", "k.journal() -> list of {n, session, ns, kind, what, undoable}",
    "the changes made from here, oldest first, and by which session (k.session.number); of what a constructor in "
    "Lua changes, for each kind, the latest, and how many times it did",
    "k.journal()", k_journal, NULL);

static bool is_own(const struct journal_row *r)
{
    return r->session == session_number() + 1 && r->client == sessions[session_number()].client;
}

// The newest row in force of this session's client; *others: somebody else has one.
static uint32_t newest_own(bool *others)
{
    *others = false;
    for (uint32_t i = made; row(i); i--) {
        if (!in_force(row(i)))
            continue;
        if (is_own(row(i)))
            return i;
        *others = true;
    }
    return 0;
}

static struct journal_row *row_to_undo(lua_State *L)
{
    bool others;
    lua_Integer n = luaL_optinteger(L, 1, newest_own(&others));
    struct journal_row *r = n > 0 && n <= UINT32_MAX ? row((uint32_t)n) : NULL;
    if (!r && n)
        luaL_error(L, "the journal has no row %I", (LUAI_UACINT)n);
    if (!r)
        luaL_error(L, others ? "there is nothing of this session's to undo; k.undo(n) takes back "
                               "row n of k.journal(), whoever made it"
                             : "there is nothing to undo");
    if (r->undone_by)
        luaL_error(L, "row %I was undone by row %d", (LUAI_UACINT)n, (int)r->undone_by);
    if (r->being_undone)
        luaL_error(L, "row %I is just being undone", (LUAI_UACINT)n);
    if (!r->change.undo)
        luaL_error(L, "row %I cannot be undone: %s", (LUAI_UACINT)n, r->change.text);
    return r;
}

// An undo may wait, and others run meanwhile: the row is claimed first, and nothing is raised until that is over.
static int k_undo(lua_State *L)
{
    struct journal_row *r = row_to_undo(L);
    struct change c = {.kind = r->change.undo};
    uint32_t n = r->n, by = 0;
    memcpy(c.arg, r->change.undo_arg, sizeof c.arg);
    need_mode_of(L, &c);
    r->being_undone = true;
    long e = make(&c, &by);
    if ((r = row(n))) { // it may have fallen out
        r->being_undone = false;
        r->undone_by = by;
    }
    finish(L, &c, e);
    if (by)
        row(by)->undone_by = n; // an undo is not undone by a further undo
    lua_pushstring(L, c.text);
    return 1;
}
MONITOR_API(
    undo, "undo", "k.undo([n]) -> what was done",
    "takes back row n of the journal, whoever made it; without n this session's newest change "
    "that is in force",
    "k.undo()", k_undo, NULL);

static int k_dry(lua_State *L)
{
    bool *dry = &sessions[session_number()].dry;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    if (*dry)
        return luaL_error(L, "k.dry inside k.dry");
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &dry_notes);
    lua_insert(L, 1);
    sessions[session_number()].before = monitor_mode();
    *dry = true;
    int status = lua_pcall(L, 0, 0, 0);
    end_dry_run();
    if (status != LUA_OK)
        return lua_error(L);
    return 1;
}
MONITOR_API(dry, "dry", "k.dry(fn) -> list of text",
            "runs fn with changes validated and listed, but not made; what it makes of the mode is "
            "listed, holds in fn and ends with it",
            "k.dry(function() k.task(3):suspend() end)", k_dry, NULL);

static int k_mode(lua_State *L)
{
    lua_pushstring(L, monitor_mode_name());
    return 1;
}

// A dry run sets it, too, as validators ask for it, and puts it back in the end.
static int k_mode_set(lua_State *L)
{
    char text[40];
    class_check_assigned(L, "mode", "string");
    if (!monitor_mode_set(lua_tostring(L, 1)))
        return luaL_error(L, "no mode '%s': there are ro, rw and unsafe", lua_tostring(L, 1));
    snprintf(text, sizeof text, "make the mode %s", monitor_mode_name());
    change_is_dry(L, text);
    return 0;
}
MONITOR_API(mode, "mode", NULL, "what changes are allowed: ro, rw, unsafe", "k.mode = \"rw\"",
            k_mode, k_mode_set);
