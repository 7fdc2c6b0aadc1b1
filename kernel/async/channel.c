// SPDX-License-Identifier: MIT
// Channels.
#include "async/channel.h"

#include "async/wait_look.h"

void channel_init(struct channel *c, const char *name, uint32_t limit)
{
    *c = (struct channel){.limit = limit};
    spin_init(&c->lock, name);
    waitq_init(&c->receivers);
    waitq_init(&c->senders);
    list_init(&c->messages);
}

static int send_locked(struct channel *c, struct message *m)
{
    if (c->closed)
        return -EPIPE;
    if (c->limit && c->count >= c->limit)
        return -EAGAIN;
    list_push_back(&c->messages, &m->link);
    c->count++;
    waitq_wake_one(&c->receivers);
    return 0;
}

static int receive_locked(struct channel *c, struct message **out)
{
    struct list *first = list_pop_front(&c->messages);
    if (!first)
        return c->closed ? -EPIPE : -EAGAIN;
    c->count--;
    *out = list_entry(first, struct message, link);
    waitq_wake_one(&c->senders);
    return 0;
}

int channel_try_send(struct channel *c, struct message *m)
{
    spin_lock(&c->lock);
    int e = send_locked(c, m);
    spin_unlock(&c->lock);
    return e;
}

int channel_try_receive(struct channel *c, struct message **out)
{
    spin_lock(&c->lock);
    int e = receive_locked(c, out);
    spin_unlock(&c->lock);
    return e;
}

void channel_close(struct channel *c)
{
    spin_lock(&c->lock);
    c->closed = true;
    waitq_wake_all(&c->receivers);
    waitq_wake_all(&c->senders);
    spin_unlock(&c->lock);
}

// Who was woken and comes too late, for another was faster, waits in front of those who came later.
static void queue_up(struct waitq *q, struct waiter *w, struct task *t)
{
    bool woken = w->granted;
    waitq_add(q, w, t);
    if (woken) {
        list_remove(&w->link);
        list_push_front(&q->head, &w->link);
    }
}

ASYNC(channel_send, struct waiter w; int r;)
{
    ASYNC_BEGIN(channel_send);
    waiter_init(&f->w);
    spin_lock(&f->c->lock);
    while ((f->r = send_locked(f->c, f->m)) == -EAGAIN) {
        if (f->interruptible && task_interrupted(t)) {
            f->r = -EINTR;
            break;
        }
        queue_up(&f->c->senders, &f->w, t);
        spin_unlock(&f->c->lock);
        SUSPEND("room in a channel");
        spin_lock(&f->c->lock);
    }
    if (f->r == 0)
        waitq_remove(&f->c->senders, &f->w);
    spin_unlock(&f->c->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->c->lock, &f->c->senders, &f->w);
    ASYNC_END;
}

ASYNC(channel_receive, struct waiter w; int r;)
{
    ASYNC_BEGIN(channel_receive);
    waiter_init(&f->w);
    spin_lock(&f->c->lock);
    while ((f->r = receive_locked(f->c, f->out)) == -EAGAIN) {
        if (f->interruptible && task_interrupted(t)) {
            f->r = -EINTR;
            break;
        }
        queue_up(&f->c->receivers, &f->w, t);
        spin_unlock(&f->c->lock);
        SUSPEND("message in a channel");
        spin_lock(&f->c->lock);
    }
    if (f->r == 0)
        waitq_remove(&f->c->receivers, &f->w);
    spin_unlock(&f->c->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->c->lock, &f->c->receivers, &f->w);
    ASYNC_END;
}

static void look(struct channel *c, const struct waitq *q, const struct waiter *w,
                 struct wait_view *v, bool sends)
{
    v->object = c;
    v->name = c->lock.name;
    spin_lock(&c->lock);
    wait_view_one(v, q, w, c->closed || (sends ? c->count < c->limit : c->count != 0));
    spin_unlock(&c->lock);
}

WAIT_LOOK(channel_send)
{
    const struct channel_send_frame *f = frame;
    v->kind = "room in a channel";
    look(f->c, &f->c->senders, &f->w, v, true);
}

WAIT_LOOK(channel_receive)
{
    const struct channel_receive_frame *f = frame;
    v->kind = "message in a channel";
    look(f->c, &f->c->receivers, &f->w, v, false);
}
